package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc/grpclog"

	"github.com/kootask/kootask/cmd/kootask/logging"
	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
)

// serveCommand runs the service.
type serveCommand struct {
	koodriveFlags
	serviceFlags
	callerFlags
	Reflection    bool          `group:"Ports" help:"Enable gRPC server reflection."`
	ShutdownDelay time.Duration `default:"2s" help:"Time after SIGTERM during which only health and /readyz change, so that load balancers can react. Part of --shutdown-grace, at most 25 % of it. SIGINT skips it."`
	Check         bool          `help:"Check the flags and files, print all problems and exit. Opens no port."`
	Online        bool          `help:"With --check: connect to KooDrive too, without a request or a credential, and print each step."`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, out output, hangup hangups) error {
	p, log := &problems{}, c.log(out.stderr)
	files := &reload.Files{Log: log.Logger, Reread: hangup}
	config := c.serviceFlags.config(p, c.koodriveFlags.config(p, files), files, log)
	config.Reflection, config.Dialect = c.Reflection, readDialect(p, "upstream-dialect", c.UpstreamDialect)
	if c.UpstreamDialect != "" {
		files.Fixed = []string{"upstream-dialect"}
	}
	c.delay(p, c.ShutdownDelay, &config)
	c.callerFlags.config(p, c.serviceFlags, &config)
	if c.Online && !c.Check {
		p.add("online", errors.New("requires --check"))
	}
	if c.Check {
		c.checkPorts(p)
		if c.UpstreamAuth == "app" && p.err() == nil {
			_, _ = fmt.Fprintf(out.stdout, "note: KooDrive counts the requests of all users of an app together. "+
				"--upstream-rps, %d, must be below the app's quota.\n", c.UpstreamRPS)
		}
		if c.Online && p.err() == nil {
			return reachKooDrive(ctx, out, config.Upstream)
		}
		return p.err()
	}
	s, listeners, err := c.open(p, config)
	if err != nil {
		return err
	}
	log.LogAttrs(ctx, slog.LevelInfo, "serving",
		slog.String("grpc", address(listeners.GRPC)),
		slog.String("http", address(listeners.HTTP)),
		slog.String("admin", address(listeners.Admin)),
		slog.String("upstream", c.UpstreamURL),
		slog.Int("max_connections", config.MaxConnections),
		slog.Bool("tls", config.TLS != nil),
		slog.Bool("callers_known", c.known()),
	)
	return c.run(ctx, s, listeners, log)
}

// lastFlush is the minimum time for writing the last log lines, even if the stop has used up the grace time.
const lastFlush = 250 * time.Millisecond

// run serves until ctx ends, and then writes the rest of the log. Its own failure is logged and not printed to stderr,
// where a blocked reader could block the process.
func (f serviceFlags) run(ctx context.Context, s *server.Server, l server.Listeners, log *logging.Log) error {
	stopping := make(chan time.Time, 1)
	running := context.AfterFunc(ctx, func() {
		log.LogAttrs(ctx, slog.LevelInfo, stoppingMessage(context.Cause(ctx)))
		stopping <- time.Now()
	})
	err := s.Run(ctx, l)
	since := time.Now()
	if !running() {
		since = <-stopping
	}
	if err == nil {
		log.LogAttrs(ctx, slog.LevelInfo, "stopped")
	} else {
		log.LogAttrs(ctx, slog.LevelError, "stopped", slog.String("error", err.Error()))
		err = exitCode(exitError)
	}
	log.Flush(max(lastFlush, time.Until(since.Add(f.ShutdownGrace))))
	return err
}

// stoppingMessage returns the log message at a signal, given the cause of the context. At a terminal it mentions that a
// second Ctrl-C ends the process at once.
func stoppingMessage(signalled error) string {
	if errors.Is(signalled, server.ErrInterrupted) {
		return "stopping; press again to stop at once"
	}
	return "stopping"
}

// open builds the server and opens its ports, unless there are problems.
func (f serviceFlags) open(p *problems, config server.Config) (*server.Server, server.Listeners, error) {
	listeners := f.listen(p)
	if err := p.err(); err != nil {
		return nil, server.Listeners{}, err
	}
	silenceLibraries()
	s, err := server.New(config)
	return s, listeners, err
}

// silenceLibraries discards the libraries' own log lines, because they quote received data. gRPC quotes a binary header
// that is not base64, grpc-gateway a Content-Type, and net/http bytes after KooDrive's answer.
func silenceLibraries() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	log.SetOutput(io.Discard)
}

// address returns the address of a listener; "off" for nil.
func address(l net.Listener) string {
	if l == nil {
		return "off"
	}
	return l.Addr().String()
}
