package credfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/cmd/kootask/credfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A secret that may be a mistake is refused.
func TestLines(t *testing.T) {
	for content, want := range map[string][]string{
		"geheim":                    {"geheim"},
		"geheim\n":                  {"geheim"},
		" geheim\t\r\n\r\n":         {"geheim"},
		"\ufeffgeheim\r\n":          {"geheim"},
		"one\n\n two \n":            {"one", "two"},
		"Bearer a b":                {"Bearer a b"},
		"":                          nil,
		" \r\n":                     nil,
		"\ufeff":                    nil,
		"geheim\x00\n":              nil,
		"geheim\u00a0\n":            nil,
		"\u200bgeheim":              nil,
		"geheim\u2028":              nil,
		"geh\teim":                  nil,
		"geheim\x1b[0m":             nil,
		"geheim\x7f":                nil,
		"geheim\xe4":                nil,
		"geheim\nä":                 nil,
		"geheim\rgeheim":            nil,
		string(utf16([]byte("ab"))): nil,
	} {
		lines, err := credfile.File{Name: "secret", Content: []byte(content)}.Lines()
		if !slices.Equal(lines, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %q, %v", content, lines, err)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "secret") || strings.Contains(err.Error(), "geheim")) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	if _, err := credfile.Read(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := credfile.Read(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := credfile.Read("/dev/zero"); err == nil || err.Error() != "/dev/zero has more than 4 MiB" {
		t.Errorf("a file without an end: %v", err)
	}
	for _, size := range []int{0, 10, credfile.MaxSize} {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if content, err := credfile.Read(name); err != nil || len(content) != size {
			t.Errorf("%d bytes: %d, %v", size, len(content), err)
		}
	}
}

// A read that hangs is reported with the file's name, again as long as it hangs, and ends with the context. Meanwhile no second
// read is started. Once the system answers, the answer counts, and no goroutine is left.
func TestHangingFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	r := credfile.NewReader(pipe).Within(20 * time.Millisecond)
	for range 3 {
		if _, err := r.Read(t.Context()); err == nil || err.Error() != "reading "+pipe+" takes longer than 20ms" {
			t.Fatalf("%v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Within(10 * time.Second).Read(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if left := goleak.Find(before, goleak.IgnoreAnyFunction("github.com/kootask/kootask/cmd/kootask/credfile.read")); left != nil {
		t.Error(left)
	}
	writer, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.WriteString("geheim"); err != nil || writer.Close() != nil {
		t.Fatal(err)
	}
	if content, err := r.Read(t.Context()); err != nil || string(content) != "geheim" {
		t.Fatalf("%q, %v", content, err)
	}
}
