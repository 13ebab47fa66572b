package main

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// mandoc runs mandoc on the manual page.
func mandoc(t *testing.T, args ...string) string {
	t.Helper()
	code, page, stderr := ask(t, "man")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	command := exec.CommandContext(t.Context(), need(t, "manual page"), args...)
	command.Stdin = strings.NewReader(page)
	out, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out)
}

// The manual page is valid roff. It has no date, so that equal programs have equal pages, and its lines are paragraphs.
func TestManualPageIsValid(t *testing.T) {
	for line := range strings.Lines(mandoc(t, "-T", "lint")) {
		if !strings.Contains(line, "missing date") && !strings.Contains(line, "longer than 80 bytes") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if said := mandoc(t, "-T", "lint"); !strings.Contains(said, "missing date") {
		t.Errorf("mandoc checks nothing: %s", said)
	}
}

// The manual page describes every command, argument, flag and exit code, as readers see it.
func TestManualPageIsComplete(t *testing.T) {
	page := regexp.MustCompile(`.\x08`).ReplaceAllString(mandoc(t, "-T", "utf8", "-O", "width=1000"), "") // Without bold and italics.
	parser, err := kong.New(&commands{}, kong.DefaultEnvars("KOOTASK"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Children {
		_, section, found := strings.Cut(page, "\n   "+command.Name+"\n")
		if found == command.Hidden {
			t.Errorf("%s: in the page: %v", command.Name, found)
		}
		if !found {
			continue
		}
		if next := regexp.MustCompile(`\n(   )?\S`).FindStringIndex(section); next != nil {
			section = section[:next[0]]
		}
		want := []string{"kootask " + command.Name, command.Help}
		for _, argument := range command.Positional {
			want = append(want, "\n       "+argument.Name, argument.Help)
		}
		for _, f := range command.Flags {
			name := "--" + f.Name
			if f.Short != 0 {
				name = "-" + string(f.Short) + ", " + name
			}
			want = append(want, "\n       "+name, f.Help, "Environment: "+f.Envs[0]+".")
		}
		plain := strings.Join(strings.Fields(section), " ")
		for _, text := range want {
			if !strings.Contains(section, text) && !strings.Contains(plain, text) {
				t.Errorf("%s: the page lacks %q", command.Name, text)
			}
		}
	}
	_, codes, _ := strings.Cut(page, "\nEXIT STATUS\n")
	for _, e := range exits {
		if !strings.Contains(codes, "\n       "+strconv.Itoa(e.code)+" ") && !strings.HasPrefix(codes, "       "+strconv.Itoa(e.code)+" ") {
			t.Errorf("the page lacks the exit code %d", e.code)
		}
	}
}
