package kootask_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// history is a git checkout with .ci/changelog.
type history struct {
	t      *testing.T
	folder string
}

func newHistory(t *testing.T) history {
	t.Helper()
	h := history{t, t.TempDir()}
	script, err := os.ReadFile(".ci/changelog")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{".ci", "docs"} {
		if err := os.Mkdir(filepath.Join(h.folder, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(h.folder, ".ci/changelog"), script, 0o700); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h history) git(args ...string) {
	h.t.Helper()
	command := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b.test", "-c", "commit.gpgsign=false"}, args...)...)
	command.Dir = h.folder
	command.Env = withoutGit()
	if out, err := command.CombinedOutput(); err != nil {
		h.t.Fatalf("git %q: %v:\n%s", args, err, out)
	}
}

// withoutGit returns the environment without git's settings. In a git hook, they name the repository of the hook.
func withoutGit() []string {
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "GIT_") })
	return append(env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
}

// write adds a line to each file.
func (h history) write(files ...string) {
	h.t.Helper()
	for _, file := range files {
		f, err := os.OpenFile(filepath.Join(h.folder, file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString("line\n")
		}
		if err != nil {
			h.t.Fatal(err)
		}
		_ = f.Close()
	}
}

// commit commits a line in each file.
func (h history) commit(subject string, files ...string) {
	h.t.Helper()
	h.write(files...)
	h.git("add", "--all")
	h.git("commit", "--quiet", "--message", subject)
}

// says checks the output of .ci/changelog. An empty text is success without output.
func (h history) says(want string, fails bool) {
	h.t.Helper()
	command := exec.Command(filepath.Join(h.folder, ".ci/changelog"))
	command.Env = withoutGit()
	out, err := command.CombinedOutput()
	if (err != nil) != fails || !strings.Contains(string(out), want) || (want == "") != (len(out) == 0) {
		h.t.Errorf("%v, %q, want %q", err, out, want)
	}
}

// A change of docs/surface.txt is described in CHANGELOG.md, in the same commit.
func TestChangelogFollowsTheSurface(t *testing.T) {
	const surface, log = "docs/surface.txt", "CHANGELOG.md"
	h := newHistory(t)
	h.says("not a git checkout", false)
	h.git("init", "--quiet")
	h.commit("begin", "other")
	h.says("no commit has docs/surface.txt", false)
	h.commit("both", surface, log)
	h.says("", false)
	h.commit("another file", "other")
	h.says("", false)
	h.write(surface)
	h.says("your changes: docs/surface.txt changes without CHANGELOG.md", true)
	h.write(log)
	h.says("", false)
	h.git("add", "--all")
	h.says("", false)
	h.git("checkout", "--quiet", "--force", "HEAD")
	h.commit("the surface alone", surface)
	h.says("(the surface alone): docs/surface.txt changes without CHANGELOG.md", true)
	h.commit("too late", log)
	h.says("(the surface alone)", true)

	clone := newHistory(t)
	clone.git("init", "--quiet")
	clone.git("fetch", "--quiet", "--depth=1", "file://"+h.folder)
	clone.git("reset", "--quiet", "--hard", "FETCH_HEAD")
	clone.says("the history is incomplete", false)
	clone.git("fetch", "--quiet", "--unshallow", "file://"+h.folder)
	clone.says("(the surface alone)", true)
}

// Two branches may each change the surface and describe it. Their merge passes.
func TestChangelogOfAMerge(t *testing.T) {
	h := newHistory(t)
	h.git("init", "--quiet", "--initial-branch=main")
	lines := strings.Repeat("a line\n", 20)
	for _, file := range []string{"docs/surface.txt", "CHANGELOG.md"} {
		if err := os.WriteFile(filepath.Join(h.folder, file), []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.commit("begin", "other")
	h.git("checkout", "--quiet", "-b", "side")
	h.commit("at the end", "docs/surface.txt", "CHANGELOG.md")
	h.git("checkout", "--quiet", "main")
	for _, file := range []string{"docs/surface.txt", "CHANGELOG.md"} {
		if err := os.WriteFile(filepath.Join(h.folder, file), []byte("a new line\n"+lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.commit("at the beginning")
	h.git("merge", "--quiet", "--no-edit", "side")
	h.says("", false)
}
