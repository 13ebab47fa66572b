package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/kootask/kootask/cmd/kootask/dialects"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// simulateCommand runs only KooDrive's stand-in.
type simulateCommand struct {
	Addr    string `default:"127.0.0.1:18080" env:"KOOTASK_SIMULATE_ADDR" help:"Address of KooDrive's stand-in. Port 0 picks a free one."`
	Dialect string `env:"KOOTASK_SIMULATE_DIALECT" placeholder:"FILE" help:"YAML file with the dialect of the stand-in: see docs/koodrive.md. Default: that of KooDrive's documents."`
	Script  string `env:"KOOTASK_SIMULATE_SCRIPT" placeholder:"FILE" help:"JSON file with the credentials, tasks and faults, as docs/simulate.md describes. Default: the demonstration's tasks."`
}

// Run serves until ctx ends.
func (c *simulateCommand) Run(ctx context.Context, out output) error {
	p := &problems{}
	koodrive, what := newKooDrive(), inventory()
	if c.Script != "" {
		var err error
		koodrive, err = scriptedKooDrive(c.Script)
		p.add("script", err)
		what = "It follows the script " + c.Script + ".\n"
	}
	if d := readDialect(p, "dialect", c.Dialect); d != nil && koodrive != nil {
		spoken, err := dialects.Simulated(*d)
		p.add("dialect", err)
		koodrive.SetDialect(spoken)
	}
	_, err := net.ResolveTCPAddr("tcp", c.Addr)
	p.add("addr", err)
	if err := p.err(); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("--addr: %w", wayOut("addr", c.Addr, err))
	}
	base := "http://" + address(listener)
	_, _ = fmt.Fprintf(out.stdout, "KooDrive's stand-in answers on %s, and is controlled at %s/simulate/\n\n%s", base, base, what)
	return serveKooDrive(ctx, listener, withControl(koodrive))
}

// scriptedKooDrive returns a stand-in for KooDrive that follows a script.
func scriptedKooDrive(file string) (*koodrivetest.KooDrive, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	script, err := koodrivetest.ParseScript(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	k := koodrivetest.New()
	k.Apply(script)
	return k, nil
}

// withControl adds the control routes in front of KooDrive. A ServeMux would clean the paths that KooDrive must see
// unchanged.
func withControl(k *koodrivetest.KooDrive) http.Handler {
	control := k.Control()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/simulate/") {
			control.ServeHTTP(w, r)
			return
		}
		k.ServeHTTP(w, r)
	})
}

// serveKooDrive serves on listener until ctx ends.
func serveKooDrive(ctx context.Context, listener net.Listener, koodrive http.Handler) error {
	s := &http.Server{Handler: koodrive, ReadHeaderTimeout: 5 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stopped()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving KooDrive's stand-in: %w", err)
	}
	return nil
}
