package ascii_test

import (
	"testing"

	"github.com/kootask/kootask/internal/ascii"
)

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
