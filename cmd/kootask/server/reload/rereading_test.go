package reload_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
)

// rereads follows files, of which parse judges the content, and returns the events of Rereading with their seconds.
func rereads(t *testing.T, parse func([]credfile.File) (string, error), paths ...string) (hangup func(), events func() []string) {
	t.Helper()
	var all []string
	begin, signals := time.Now(), make(chan os.Signal, 1)
	files := &reload.Files{Reread: signals, Rereading: func(begins bool) {
		all = append(all, fmt.Sprint(time.Since(begin).Seconds(), " ", begins))
	}}
	for _, path := range paths {
		if _, err := reload.Read(files, filepath.Base(path), []string{path}, parse); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go files.Follow(ctx)
	return func() { signals <- syscall.SIGHUP; synctest.Wait() }, func() []string { synctest.Wait(); return all }
}

// A Reread is over with the second read of the last file. One that begins before that ends instead of it.
func TestRereading(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	for _, path := range []string{one, two} {
		write(t, path, "1")
	}
	for name, row := range map[string]struct {
		paths  []string
		pauses []time.Duration // Each before a SIGHUP.
		want   []string
	}{
		"no files":          {nil, []time.Duration{2 * time.Second}, []string{"2 true", "2 false"}},
		"two files":         {[]string{one, two}, []time.Duration{2 * time.Second}, []string{"2 true", "3 false"}},
		"one after another": {[]string{one}, []time.Duration{2 * time.Second, 3 * time.Second}, []string{"2 true", "3 false", "5 true", "6 false"}},
		"two at once":       {[]string{one, two}, []time.Duration{2 * time.Second, 500 * time.Millisecond}, []string{"2 true", "2.5 true", "4 false"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hangup, events := rereads(t, parse, row.paths...)
				for _, pause := range row.pauses {
					time.Sleep(pause)
					hangup()
				}
				time.Sleep(time.Minute)
				if got := events(); !slices.Equal(got, row.want) {
					t.Errorf("%q, want %q", got, row.want)
				}
			})
		})
	}
}

// A Reread that begins during the last read of another one is not over with that read.
func TestRereadingDuringARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, "1")
		reads := 0
		hangup, events := rereads(t, func([]credfile.File) (string, error) {
			if reads++; reads == 3 { // Read reads once.
				time.Sleep(2 * time.Second)
			}
			return "", nil
		}, path)
		hangup()
		time.Sleep(2 * time.Second)
		hangup()
		time.Sleep(time.Minute)
		if got, want := events(), []string{"0 true", "2 true", "5 false"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
