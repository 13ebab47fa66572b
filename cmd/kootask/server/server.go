// Package server assembles the service on given listeners: KooDrive's client, TaskService, the gRPC server, the gateway
// and the admin port. It starts and stops them in order. It parses no flags and opens no ports.
//
//	s, err := server.New(server.Config{Upstream: upstream.Config{BaseURL: url}, Log: log})
//	…
//	err = s.Run(ctx, server.Listeners{GRPC: l1, HTTP: l2})
package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc/credentials"

	"github.com/kootask/kootask/cmd/kootask/dialects"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
	"github.com/kootask/kootask/dialect"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/gateway"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream"
)

// DefaultGrace is the default of Config.Grace.
const DefaultGrace = 20 * time.Second

// ErrInterrupted is the cause of a context that a person at a terminal has ended. The stop then skips
// Config.ShutdownDelay.
var ErrInterrupted = errors.New("interrupted")

// Limits of the HTTP port.
const (
	// HeaderTimeout limits the time for a request's header. IdleTimeout is how long a connection may be without a
	// request. It is longer than load balancers keep connections (usually 60 s), so that the server does not close one
	// that a balancer is about to reuse.
	HeaderTimeout = 5 * time.Second
	IdleTimeout   = 90 * time.Second
	// AnswerTimeout limits the time until a client has read its answer. It is longer than any call. A watch replaces it
	// with a limit per message.
	AnswerTimeout = 60 * time.Second
)

// Config configures a Server.
type Config struct {
	// Upstream configures the connection to KooDrive; New sets its OutageChanged and Dialect. Required.
	Upstream upstream.Config
	// Dialect is how KooDrive speaks. Nil: the default of package dialect.
	Dialect *dialect.Dialect
	// Service configures TaskService; New sets its Upstream, ResultTexts, Log and Metrics.
	Service service.Config
	// Auth configures the authentication of callers; New sets its Mode, Log and Metrics. Zero: everybody may call.
	Auth auth.Config
	// TLS returns the certificates of the gRPC and the HTTP port. Nil: both are plaintext.
	TLS func() TLS
	// Files are reloaded while the Server runs. Their content takes effect through the other fields. Nil: none.
	Files *reload.Files
	// Origins are the web origins whose pages may read the answers of the HTTP port.
	Origins []string
	// LocalOrigins lets the pages of all loopback origins read them as well.
	LocalOrigins bool
	// LocalHosts is gateway.Config.LocalHosts, for callers without authentication.
	LocalHosts bool
	// Console serves the page that watches tasks, at /, and the API reference, at /docs, on the HTTP port.
	Console bool
	// Demo is a credential and tasks that the page offers to everybody. Nil: it offers none.
	Demo *gateway.Demo
	// Reflection enables gRPC server reflection.
	Reflection bool
	// MaxConnections limits the connections to the gRPC port, and to the HTTP port. One address may have half of them,
	// unless Auth.TrustedHops is set. 0: no limit.
	MaxConnections int
	// Grace limits the duration of a stop. 0: DefaultGrace.
	Grace time.Duration
	// ShutdownDelay is the part of Grace during which a stopping server reports not ready and otherwise works as
	// before, so that load balancers stop sending it calls. At most a quarter of Grace. 0: no delay.
	ShutdownDelay time.Duration
	// Draining is called when a stop begins, which waits for it. Nil: it is not called.
	Draining func()
	// Log gets a line for each call. It must not block, because calls wait for it. Required.
	Log *slog.Logger
	// LogMetrics collects the metrics of the log. Nil: none.
	LogMetrics prometheus.Collector
}

// Listeners are the ports of a Server. Run closes them.
type Listeners struct {
	GRPC, HTTP net.Listener
	// Admin is the operator's port. It has profiles if it is on a loopback address. Nil: no admin port.
	Admin net.Listener
}

// Server is the whole service. Run it once.
type Server struct {
	config   Config
	upstream *upstream.Client
	service  *service.Service
	auth     *auth.Authenticator
	public   *rpcserver.Server // On the gRPC port.
	local    *rpcserver.Local  // For the gateway.
	metrics  *prometheus.Registry
	ports    portMetrics
	http     *http.Server
	admin    *http.Server
	draining atomic.Bool
}

// New returns a Server that is not serving yet: see Run.
func New(config Config) (*Server, error) {
	if config.Grace <= 0 {
		config.Grace = DefaultGrace
	}
	s := &Server{metrics: prometheus.NewRegistry()}
	if config.Files == nil {
		config.Files = &reload.Files{}
	}
	s.config, s.ports = config, newPortMetrics(s.metrics)
	s.metrics.MustRegister(config.Files, collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	if config.LogMetrics != nil {
		s.metrics.MustRegister(config.LogMetrics)
	}
	if config.Dialect == nil {
		d, err := dialects.Parse(nil)
		if err != nil {
			return nil, err
		}
		config.Dialect = &d
	}
	config.Upstream.Dialect = dialects.Upstream(*config.Dialect)
	config.Service.ResultTexts = dialects.ResultTexts(*config.Dialect)
	config.Upstream.OutageChanged = func(down bool) { s.public.KooDrive(!down) }
	var err error
	if s.upstream, err = upstream.NewClient(config.Upstream); err != nil {
		return nil, err
	}
	config.Service.Upstream, config.Service.Log, config.Service.Metrics = s.upstream, config.Log, s.metrics
	s.service = service.New(config.Service)

	mode := caller.Forward
	if config.Service.App != nil {
		mode = caller.App
	}
	config.Auth.Mode, config.Auth.Log, config.Auth.Metrics = mode, config.Log, s.metrics
	if s.auth, err = auth.New(config.Auth); err != nil {
		return nil, err
	}
	port := func(name string) (*slog.Logger, prometheus.Registerer) {
		return config.Log.With("port", name), prometheus.WrapRegistererWith(prometheus.Labels{"port": name}, s.metrics)
	}
	public := rpcserver.Config{
		Service: s.service, Operations: s.service.Operations(), Who: s.auth.Call, Called: called,
		MaxStreams: rpcserver.MaxStreams, LongestCall: s.service.LongestWatch(), Reflection: config.Reflection,
	}
	public.Log, public.Metrics = port("grpc")
	if config.TLS != nil {
		public.Credentials = credentials.NewTLS(s.tls())
		s.metrics.MustRegister(s.certificateEnd())
	}
	s.public = rpcserver.New(public)
	httpLog, httpMetrics := port("http")
	s.local = rpcserver.NewLocal(s.service, httpLog, httpMetrics)
	handler, err := gateway.New(gateway.Config{
		Conn: s.local, Auth: s.auth, Origins: config.Origins, LocalOrigins: config.LocalOrigins, LocalHosts: config.LocalHosts,
		Console: config.Console, Demo: config.Demo, ResultTexts: config.Service.ResultTexts,
		CheckTaskID: ask.CheckTaskID, CheckTaskIDs: ask.CheckTaskIDs,
		TicketsPerPeer: config.Service.Quota.NewTasksPerPeer, Log: httpLog, Metrics: s.metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("making the gateway: %w", err)
	}
	s.http, s.admin = s.httpServer(noted(patient(handler))), s.httpServer(nil)
	if config.TLS != nil {
		s.http.TLSConfig = s.tls()
		s.http.Protocols.SetHTTP2(true)
		s.http.Protocols.SetUnencryptedHTTP2(false)
	}
	return s, nil
}

// httpServer returns a server for handler. Its WriteTimeout does not end a watch, whose first message comes earlier and
// sets a limit of its own. Without it, the server would wait indefinitely for an HTTP/2 client that answers pings but
// leaves no window for the answer.
func (s *Server) httpServer(handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		ConnContext:       withOrigin,
		ReadHeaderTimeout: HeaderTimeout,
		IdleTimeout:       IdleTimeout,
		WriteTimeout:      AnswerTimeout,
		MaxHeaderBytes:    rpcserver.MaxHeaderRead,
		Protocols:         &protocols,
		HTTP2: &http.HTTP2Config{
			// Beyond the default of 250, requests on a connection would hang.
			MaxConcurrentStreams: rpcserver.MaxStreams,
			// By default there are no pings.
			SendPingTimeout: rpcserver.Ping, PingTimeout: rpcserver.PingTimeout,
		},
		ErrorLog: log.New(libraryLog{s.config.Log}, "", 0),
		// OPTIONS * is handled like any other request.
		DisableGeneralOptionsHandler: true,
	}
}

// Run serves until ctx ends, and then stops within Grace. It skips ShutdownDelay if the cause of ctx is
// [ErrInterrupted]. It fails if a listener fails or if calls had to be cut off. It may be called once.
func (s *Server) Run(ctx context.Context, l Listeners) error {
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var servers sync.WaitGroup
	serve := func(name string, serve func() error) {
		servers.Go(func() {
			if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				fail(fmt.Errorf("serving %s: %w", name, err))
			}
		})
	}
	grpcPort, httpPort := s.port("grpc", l.GRPC, s.publicRoom()), s.port("http", l.HTTP, s.publicRoom())
	serve("gRPC", func() error { return s.public.Serve(grpcPort) })
	serve("HTTP", func() error {
		if s.config.TLS != nil {
			return s.http.ServeTLS(httpPort, "", "")
		}
		return s.http.Serve(httpPort)
	})
	servers.Go(func() { s.config.Files.Follow(running) })
	if l.Admin != nil {
		s.admin.Handler = noted(s.adminHandler(onThisMachine(l.Admin.Addr())))
		serve("the admin port", func() error { return s.admin.Serve(s.port("admin", l.Admin, half(AdminConnections))) })
	}

	<-running.Done()
	var err error
	var delay time.Duration
	switch {
	case ctx.Err() == nil:
		err = context.Cause(running)
	case !errors.Is(context.Cause(ctx), ErrInterrupted):
		delay = min(s.config.ShutdownDelay, s.config.Grace/4)
	}
	err = errors.Join(err, s.stop(delay, grpcPort, httpPort))
	servers.Wait()
	return err
}

// Probe reads all metrics, and so takes the locks of the watches, of the requests to KooDrive, of the issuer's keys and of
// the log. It blocks while one of them is deadlocked. It does not connect to the ports: they may be full, and a restart
// does not help against a flood. It is safe for concurrent use, and may be called before and after Run.
func (s *Server) Probe() { _, _ = s.metrics.Gather() }

// stop stops all parts, in the order of their dependencies:
//  1. Readiness changes. During the delay nothing else does.
//  2. Watches are drained, and new connections without a call closed.
//  3. Both public ports stop; at the end of Grace, their connections are closed.
//  4. The gateway's calls, the service and the clients stop. The admin port is last.
func (s *Server) stop(delay time.Duration, ports ...*listener) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Grace)
	defer cancel()
	s.draining.Store(true)
	if s.config.Draining != nil {
		s.config.Draining()
	}
	s.public.Drain()
	<-time.After(delay)
	s.service.Drain(s.config.Grace / 2)
	for _, port := range ports {
		port.closeNew()
		defer context.AfterFunc(ctx, port.closeAll)()
	}

	var httpErr error
	var rpcGraceful bool
	var both sync.WaitGroup
	both.Go(func() {
		if httpErr = s.http.Shutdown(ctx); httpErr != nil {
			_ = s.http.Close()
		}
	})
	both.Go(func() { rpcGraceful = s.public.Stop(ctx) })
	both.Wait()
	localGraceful := s.local.Stop(ctx) // Its calls are those of the HTTP port.
	s.service.Close()
	s.auth.Close()
	s.upstream.Close()
	_ = s.admin.Close()
	if httpErr != nil || !rpcGraceful || !localGraceful {
		return fmt.Errorf("stopping took longer than %v: calls were cut off", s.config.Grace)
	}
	return nil
}
