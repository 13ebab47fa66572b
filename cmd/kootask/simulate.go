package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// simulateCommand runs KooDrive's stand-in.
type simulateCommand struct {
	Addr string `default:"127.0.0.1:18080" help:"Where it answers. Port 0 takes a free one."`
}

// Run answers until ctx ends.
func (c *simulateCommand) Run(ctx context.Context, out output) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return usageError{fmt.Errorf("--addr: %w", err)}
	}
	_, _ = fmt.Fprintf(out.stdout, "KooDrive's stand-in answers on http://%s\n\n%s", address(listener), inventory())
	return serveKooDrive(ctx, listener, newKooDrive())
}

// serveKooDrive answers on listener until ctx ends.
func serveKooDrive(ctx context.Context, listener net.Listener, k *koodrivetest.KooDrive) error {
	s := &http.Server{Handler: k, ReadHeaderTimeout: 5 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stopped()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving KooDrive's stand-in: %w", err)
	}
	return nil
}
