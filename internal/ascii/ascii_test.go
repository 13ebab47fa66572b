package ascii_test

import (
	"testing"

	"github.com/kootask/kootask/internal/ascii"
)

func TestWord(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "azAZ09": true, "a_b-": true, "a.b": false, "a b": false, "@": false, "[": false, "`": false, "{": false, "/": false, ":": false,
		"ä": false, "\x00": false, "\xff": false, "１": false,
	} {
		if got := ascii.Word(s, "_-"); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestCharacters(t *testing.T) {
	for s, want := range map[string]struct{ visible, printable bool }{
		"": {true, true}, "!aZ09~": {true, true}, "a b": {false, true}, " ": {false, true},
		"a\tb": {false, false}, "a\n": {false, false}, "\x00": {false, false}, "\x7f": {false, false}, "\x80": {false, false},
		"ä": {false, false}, "\u00a0": {false, false}, "\xff": {false, false},
	} {
		if visible, printable := ascii.Visible(s), ascii.Printable(s); visible != want.visible || printable != want.printable {
			t.Errorf("%q: visible %v, printable %v", s, visible, printable)
		}
	}
}
