package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/cmd/kootask/server/reload"
	"github.com/kootask/kootask/internal/certificates"
)

// The file of --upstream-ca is followed like other certificates; if it is invalid, the last roots stay in use.
func TestUpstreamCAIsFollowed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		one, two := certificates.NewCA(), certificates.NewCA()
		file := filepath.Join(dir, "ca.pem")
		write := func(text []byte) {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(one.PEM())
		p, files := &problems{}, &reload.Files{}
		config := koodriveFlags{UpstreamURL: "https://koodrive.test", UpstreamCA: file}.config(p, files)
		if err := p.err(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			files.Follow(ctx)
		}()
		for _, step := range []struct {
			name string
			text []byte
			want *certificates.CA
		}{
			{"as it was", one.PEM(), one}, {"another", two.PEM(), two}, {"garbage", []byte("garbage"), two}, {"the first one", one.PEM(), one},
		} {
			write(step.text)
			time.Sleep(3 * reload.Interval)
			if !config.RootCAs().Equal(step.want.Pool()) {
				t.Errorf("%s: other roots", step.name)
			}
		}
		stop()
		<-done
	})
	p := &problems{}
	koodriveFlags{UpstreamURL: "https://koodrive.test", UpstreamCA: filepath.Join(dir, "missing")}.config(p, &reload.Files{})
	if p.err() == nil {
		t.Error("a missing file is not reported")
	}
}
