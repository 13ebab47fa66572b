package reload_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
)

// A file that is not valid yet is judged again until it is. A file that has expired stays in use, which is logged. An unchanged
// file is otherwise not applied again.
func TestVerdictsDependOnTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, "first")
		begin := time.Now()
		const early, late = 20 * time.Second, time.Minute
		type value struct{ text string }
		var log bytes.Buffer
		files := &reload.Files{Log: slog.New(slog.NewTextHandler(&log, nil))}
		now, err := reload.Read(files, "file", []string{path}, func(files []credfile.File) (*value, error) {
			if age := time.Since(begin); string(files[0].Content) == "second" && age < early {
				return nil, errors.New("not yet")
			} else if age > late {
				return nil, errors.New("not any more")
			}
			return &value{string(files[0].Content)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go files.Follow(ctx)
		write(t, path, "second")
		var used *value
		for _, step := range []struct {
			at             time.Duration
			want           string
			failed, reload float64
			lines          int
		}{
			{early - time.Second, "first", 1, 0, 1}, {early + reload.Interval + time.Second, "second", 0, 1, 2}, {late - time.Second, "second", 0, 1, 2},
			{late + reload.Interval + time.Second, "second", 1, 1, 3}, {2 * late, "second", 1, 1, 3},
		} {
			time.Sleep(step.at - time.Since(begin))
			synctest.Wait()
			if got := now(); got.text != step.want || used != nil && used.text == step.want && used != got {
				t.Errorf("after %v: %q", step.at, got.text)
			}
			used = now()
			lines := strings.Count(log.String(), "\n")
			failed, reloaded := metric(t, files, "kootask_files_failed"), metric(t, files, "kootask_files_reloads_total")
			if failed != step.failed || reloaded != step.reload || lines != step.lines {
				t.Errorf("after %v: failed %v, %v reloads, %d lines", step.at, failed, reloaded, lines)
			}
		}
	})
}

// A file that hangs neither stops other files from being followed nor Follow from ending, and leaves behind only the
// goroutine that is blocked in the system. In real time, since a blocked system call stops virtual time.
func TestHangingFileDelaysNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hanging, other := filepath.Join(dir, "hanging"), filepath.Join(dir, "other")
	write(t, hanging, "1")
	write(t, other, "1")
	files := &reload.Files{}
	first, err := reload.Read(files, "hanging", []string{hanging}, parse)
	if err != nil {
		t.Fatal(err)
	}
	second, err := reload.Read(files, "other", []string{other}, parse)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(hanging); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(hanging, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, other, "2")
	before := goleak.IgnoreCurrent()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		files.Follow(ctx)
	}()
	for deadline := time.After(time.Minute); second() != "2" || failed(t, files) != 1; {
		select {
		case <-deadline:
			t.Fatalf("the other file says %q, and %v files have failed", second(), failed(t, files))
		case <-time.After(100 * time.Millisecond):
		}
	}
	if first() != "1" {
		t.Errorf("the hanging file says %q", first())
	}
	stop()
	select {
	case <-ended:
	case <-time.After(credfile.Patience / 2):
		t.Error("Follow does not end")
	}
	if left := goleak.Find(before, goleak.IgnoreAnyFunction("github.com/kootask/kootask/cmd/kootask/credfile.read")); left != nil {
		t.Error(left)
	}
	writer, err := os.OpenFile(hanging, os.O_WRONLY, 0) // The last goroutine ends.
	if err != nil || writer.Close() != nil {
		t.Fatal(err)
	}
}
