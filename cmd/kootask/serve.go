package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc/grpclog"

	"github.com/kootask/kootask/cmd/kootask/logging"
	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
	"github.com/kootask/kootask/cmd/kootask/systemd"
)

// settings are the flags that configure the service, each of which may be in a file.
type settings struct {
	configFlag
	koodriveFlags
	serviceFlags
	callerFlags
	Reflection    bool          `group:"Ports" help:"Enable gRPC server reflection."`
	ShutdownDelay time.Duration `default:"2s" help:"Time after SIGTERM during which only health and /readyz change, so that load balancers can react. Part of --shutdown-grace, at most 25 % of it. SIGINT skips it."`
}

// config returns the config of the server. Its files are those of the flags.
func (s *settings) config(p *problems, files *reload.Files, log *logging.Log) server.Config {
	p.file = &s.configFlag
	config := s.serviceFlags.config(p, s.koodriveFlags.config(p, files), files, log)
	config.Reflection, config.Dialect = s.Reflection, readDialect(p, "upstream-dialect", s.UpstreamDialect)
	if s.UpstreamDialect != "" {
		files.Fixed = []string{"upstream-dialect"}
	}
	s.delay(p, s.ShutdownDelay, &config)
	s.callerFlags.config(p, s.serviceFlags, &config)
	return config
}

// serveCommand runs the service.
type serveCommand struct {
	settings
	Check  bool `help:"Check the flags and files, print all problems and exit. Opens no port."`
	Online bool `help:"With --check: connect to KooDrive too, without a request or a credential, and print each step."`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, k *kong.Context, out output, hangup hangups) error {
	level := &slog.LevelVar{}
	level.Set(c.LogLevel)
	p, log := &problems{}, c.log(out.stderr, level)
	reread := make(chan os.Signal, 1)
	manager := systemd.New(log.Logger)
	files := &reload.Files{Log: log.Logger, Reread: reread, Rereading: manager.Reloading}
	config := c.config(p, files, log)
	config.Draining = func() { manager.Stopping(longestStop(c.ShutdownGrace)) }
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
	settings := newLiveSettings(k, level, files, log)
	go settings.follow(ctx, hangup, reread) // It may be reading a file that hangs when the process ends, so nothing waits for it.
	manager.Ready()                         // The ports queue connections from now on.
	stopWatching := manager.Watch(s.Probe)
	defer stopWatching()
	return c.run(ctx, s, listeners, log)
}

// lastFlush is the minimum time for writing the last log lines, even if the stop has used up the grace time.
const lastFlush = 250 * time.Millisecond

// longestStop returns the time after which systemd may kill a stopping process. It includes time for a busy machine.
func longestStop(grace time.Duration) time.Duration { return grace + lastFlush + 3*systemd.SendTimeout }

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

// open builds the server and opens its ports. If there are problems, it opens none.
func (f serviceFlags) open(p *problems, config server.Config) (*server.Server, server.Listeners, error) {
	if f.checkPorts(p); p.err() != nil {
		return nil, server.Listeners{}, p.err()
	}
	listeners := f.listen(p)
	if p.err() != nil { // Not a usageError: whatever uses the port may end.
		return nil, server.Listeners{}, errors.Join(p.errs...)
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
