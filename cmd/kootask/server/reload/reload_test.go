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

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse refuses contents that contain "bad".
func parse(files []credfile.File) (string, error) {
	var contents []string
	for _, f := range files {
		contents = append(contents, string(f.Content))
	}
	all := strings.Join(contents, "+")
	if strings.Contains(all, "bad") {
		return "", errors.New("it is bad")
	}
	return all, nil
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// metric returns the value of a metric of the only files.
func metric(t *testing.T, files *reload.Files, name string) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(files)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if one := family.GetMetric(); family.GetName() == name && len(one) == 1 {
			return one[0].GetGauge().GetValue() + one[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is not exactly one metric %s", name)
	return 0
}

// failed returns the number of invalid files.
func failed(t *testing.T, files *reload.Files) (n float64) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(files)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, one := range family.GetMetric() {
			n += one.GetGauge().GetValue()
		}
	}
	return n
}

func TestOnlyValidChangesTakeEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
		write(t, one, "1")
		write(t, two, "2")
		var log bytes.Buffer
		files := &reload.Files{Log: slog.New(slog.NewTextHandler(&log, nil))}
		now, err := reload.Read(files, "pair", []string{one, two}, parse)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go files.Follow(ctx)
		for _, step := range []struct {
			change        func()
			want          string
			failed, lines int
		}{
			{func() {}, "1+2", 0, 0},
			{func() { write(t, one, "3") }, "3+2", 0, 1},
			{func() { write(t, two, "bad") }, "3+2", 1, 2},
			{func() {}, "3+2", 1, 2},
			{func() { write(t, two, "worse, and bad") }, "3+2", 1, 3},
			{func() { _ = os.Remove(one) }, "3+2", 1, 3},
			{func() { write(t, one, "4"); write(t, two, "5") }, "4+5", 0, 4},
			{func() { _ = os.Remove(two) }, "4+5", 1, 5},
			{func() {}, "4+5", 1, 5},
			{func() { write(t, two, "5") }, "4+5", 0, 6},
		} {
			step.change()
			time.Sleep(2 * reload.Interval)
			synctest.Wait()
			if got := now(); got != step.want {
				t.Errorf("it is %q, want %q", got, step.want)
			}
			if lines := strings.Count(log.String(), "\n"); lines != step.lines {
				t.Errorf("with %q there are %d lines, want %d:\n%s", step.want, lines, step.lines, log.String())
			}
			if got := metric(t, files, "kootask_files_failed"); got != float64(step.failed) {
				t.Errorf("with %q the metric is %v", step.want, got)
			}
		}
		if got := metric(t, files, "kootask_files_reloads_total"); got != 3 {
			t.Errorf("the files were reloaded %v times", got)
		}
	})
}

func TestBadFilesAtTheStart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	files := &reload.Files{}
	if _, err := reload.Read(files, "file", []string{path}, parse); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	write(t, path, "bad")
	if _, err := reload.Read(files, "file", []string{path}, parse); err == nil || err.Error() != "it is bad" {
		t.Errorf("a bad file: %v", err)
	}
	files.Follow(t.Context()) // There is nothing to follow.
}

// A requested read happens at once, and a change takes effect 1 s later. Two reads are never closer than that, however many are
// requested, so a file that is being written is not taken for finished.
func TestReread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, "1")
		var log bytes.Buffer
		hangup := make(chan os.Signal, 1)
		files := &reload.Files{Log: slog.New(slog.NewTextHandler(&log, nil)), Reread: hangup}
		now, err := reload.Read(files, "policy", []string{path}, parse)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go files.Follow(ctx)
		is := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := now(); got != want {
				t.Errorf("it is %q, want %q", got, want)
			}
		}
		ask := func() {
			hangup <- syscall.SIGHUP
			synctest.Wait()
		}

		time.Sleep(reload.Interval / 2)
		write(t, path, "2")
		ask()
		time.Sleep(reload.Settle - 1)
		is("1")
		time.Sleep(time.Nanosecond)
		is("2")

		write(t, path, "half")
		for range 8 {
			ask()
			time.Sleep(reload.Settle / 10)
			is("2")
		}
		write(t, path, "whole")
		time.Sleep(2 * reload.Settle)
		is("whole")

		write(t, path, "bad")
		ask()
		time.Sleep(2 * reload.Settle)
		is("whole")
		if got := metric(t, files, "kootask_files_failed"); got != 1 {
			t.Errorf("the metric is %v", got)
		}
		write(t, path, "3") // No more requests.
		time.Sleep(2 * reload.Interval)
		is("3")
		stop()
		synctest.Wait()
		if n := strings.Count(log.String(), `msg="rereading files" files=[policy]`); n != 10 {
			t.Errorf("the log says %d times that files are reread:\n%s", n, log.String())
		}
	})
}

// Without files, a requested read is logged with an empty list.
func TestRereadWithoutFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		hangup := make(chan os.Signal, 1)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go (&reload.Files{Log: slog.New(slog.NewTextHandler(&log, nil)), Reread: hangup}).Follow(ctx)
		hangup <- syscall.SIGHUP
		synctest.Wait()
		if !strings.Contains(log.String(), `msg="rereading files" files=[]`) {
			t.Errorf("the log says %q", log.String())
		}
	})
}

// Move makes the next reads those of other files, with the same rules. Groups that are not the same stay.
func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		paths := map[string]string{}
		for name, content := range map[string]string{"old": "1", "new": "2", "bad": "bad", "other": "3"} {
			paths[name] = filepath.Join(dir, name)
			write(t, paths[name], content)
		}
		plan := func(what string, names ...string) *reload.Files {
			files := &reload.Files{}
			var all []string
			for _, name := range names {
				all = append(all, paths[name])
			}
			good := func([]credfile.File) (int, error) { return 0, nil }
			if _, err := reload.Read(files, what, all, good); err != nil {
				t.Fatal(err)
			}
			return files
		}
		var log bytes.Buffer
		hangup := make(chan os.Signal, 1)
		files := &reload.Files{Log: slog.New(slog.NewTextHandler(&log, nil)), Reread: hangup}
		now, err := reload.Read(files, "policy", []string{paths["old"]}, parse)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go files.Follow(ctx)
		time.Sleep(reload.Interval)
		for _, step := range []struct {
			to     *reload.Files
			want   string
			failed float64
		}{
			{plan("policy", "new"), "2", 0},
			{plan("policy", "bad"), "2", 1},
			{plan("policy", "old"), "1", 0},
			{plan("tls", "new"), "1", 0},
			{plan("policy", "new", "other"), "1", 0},
		} {
			files.Move(step.to)
			hangup <- syscall.SIGHUP
			time.Sleep(2*reload.Settle + time.Nanosecond)
			synctest.Wait()
			if got := now(); got != step.want || metric(t, files, "kootask_files_failed") != step.failed {
				t.Errorf("it is %q, want %q; the log:\n%s", got, step.want, log.String())
			}
		}
		write(t, paths["old"], "4")
		time.Sleep(2 * reload.Interval)
		synctest.Wait()
		if got := now(); got != "4" {
			t.Errorf("a change of the file in use: %q", got)
		}
	})
}
