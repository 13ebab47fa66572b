// Package rpcserver runs the calls of TaskService and google.longrunning.Operations behind common interceptors. A [Server] is
// the gRPC server of a port, with health, limits and a bounded stop. A [Local] is the gateway's connection to the same
// handlers of TaskService, within this process.
//
//	s := rpcserver.New(rpcserver.Config{Service: service, Operations: service.Operations(), Who: auth.Call, Log: log})
//	go s.Serve(listener)
//	…
//	s.Stop(ctx)
package rpcserver

import (
	"context"
	"log/slog"
	"math"
	"net"
	"runtime"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // Clients may compress their requests.
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
)

// Limits of a server.
const (
	// MaxStreams limits the calls and watches in flight on one connection to the public port.
	MaxStreams = 1000
	// MaxHeader limits a request's header, in bytes. A call with a larger one is refused; beyond MaxHeaderRead, its
	// connection may be closed.
	MaxHeader     = caller.MaxHeader
	MaxHeaderRead = 64 << 10
	// MaxMessage limits a request after decompression, in bytes. 100 ids of 64 characters take 6.6 KB.
	MaxMessage = 8 << 10
	// ClientPing is the shortest interval at which clients may ping.
	ClientPing = 20 * time.Second

	// MaxConnectionAge is the age at which clients are asked to open a new connection, jittered by gRPC by ±10 %.
	// Otherwise a load balancer's choice would last as long as the client.
	MaxConnectionAge = 45 * time.Minute

	// Ping is the time without activity after which a client is pinged, and PingTimeout how long it may take to answer.
	Ping        = 60 * time.Second
	PingTimeout = 20 * time.Second

	// ConnectTimeout limits the TLS handshake and HTTP/2's preface.
	ConnectTimeout = 10 * time.Second

	// StreamWorkers is the number of goroutines per CPU that handle calls one after the other. A new goroutine per call
	// would grow its stack three times, which costs a fifth of a short call. While all of them are taken, as by watches,
	// calls get a new goroutine.
	StreamWorkers = 32

	ageMargin = time.Minute
)

// Config configures a Server.
type Config struct {
	// Service and Operations handle the calls of their services. Both are required.
	Service    taskv1.TaskServiceServer
	Operations longrunningpb.OperationsServer
	// Who returns the caller of a call with the given metadata, which it must not change, or the error that refuses it.
	// needed is false for health and reflection, for which the error is ignored. Required.
	Who func(ctx context.Context, header metadata.MD, needed bool) (caller.Caller, error)
	// Called is called with the address that a call comes from, as the call begins. It must not block. Nil: it is not
	// called.
	Called func(from net.Addr)
	// Log gets a line for each call. Required.
	Log *slog.Logger
	// Metrics registers the server's metrics. Nil: they are not registered.
	Metrics prometheus.Registerer
	// MaxStreams limits the calls in flight per connection. 0: no limit.
	MaxStreams uint32
	// LongestCall is the longest duration of a call. A connection that has reached MaxConnectionAge stays open for this
	// and ageMargin, so that its calls can end by themselves. 0: connections do not age.
	LongestCall time.Duration
	// Reflection enables the reflection service.
	Reflection bool
	// Credentials secure the connections. Nil: plaintext.
	Credentials credentials.TransportCredentials
}

// HealthKooDrive is the health service name for KooDrive. While KooDrive is down, the other names stay SERVING.
const HealthKooDrive = "koodrive"

// Server is a gRPC server with TaskService, google.longrunning.Operations and health. Health knows the names "",
// "koodrive.task.v1.TaskService", "google.longrunning.Operations" and [HealthKooDrive].
type Server struct {
	grpc   *grpc.Server
	health *health.Server
	stop   context.CancelFunc // Ends waits for requests, and streams of health and reflection.
}

// New returns a Server that is not serving yet.
func New(config Config) *Server {
	stopping, stop := context.WithCancel(context.Background())
	requests := newRequests(stopping, config)
	calls := &calls{who: config.Who, log: config.Log, metrics: newMetrics(config.Metrics), requests: requests}
	streams := config.MaxStreams
	if streams == 0 {
		streams = math.MaxUint32
	}
	params := keepalive.ServerParameters{Time: Ping, Timeout: PingTimeout}
	if config.LongestCall > 0 {
		params.MaxConnectionAge, params.MaxConnectionAgeGrace = MaxConnectionAge, config.LongestCall+ageMargin
	}
	s := &Server{
		grpc: grpc.NewServer(
			grpc.Creds(config.Credentials),
			grpc.ForceServerCodecV2(newCodec()),
			grpc.UnaryInterceptor(calls.unary),
			grpc.StreamInterceptor(calls.stream),
			grpc.InTapHandle(requests.tap),
			grpc.MaxConcurrentStreams(streams),
			grpc.MaxHeaderListSize(MaxHeaderRead),
			grpc.MaxRecvMsgSize(MaxMessage),
			grpc.ConnectionTimeout(ConnectTimeout),
			grpc.KeepaliveParams(params),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: ClientPing, PermitWithoutStream: true}),
			grpc.WaitForHandlers(true),
			grpc.NumStreamWorkers(uint32(StreamWorkers*runtime.GOMAXPROCS(0))),
		),
		health: health.NewServer(),
		stop:   stop,
	}
	for _, of := range services {
		s.grpc.RegisterService(calls.awaiting(of.desc), of.impl(config))
		s.health.SetServingStatus(of.desc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	}
	healthv1.RegisterHealthServer(s.grpc, s.health)
	s.KooDrive(true)
	if config.Reflection {
		reflection.Register(s.grpc)
	}
	return s
}

// Serve accepts connections from listener until Stop.
func (s *Server) Serve(listener net.Listener) error { return s.grpc.Serve(listener) }

// KooDrive sets the health of HealthKooDrive.
func (s *Server) KooDrive(works bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if works {
		status = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus(HealthKooDrive, status)
}

// Drain makes health report that the server is stopping. Calls are still handled.
func (s *Server) Drain() { s.health.Shutdown() }

// Stop refuses new calls and waits for those in flight. When ctx ends, it closes their connections. It reports whether
// all calls ended before that.
func (s *Server) Stop(ctx context.Context) (graceful bool) {
	s.stop()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.grpc.GracefulStop()
	}()
	select {
	case <-stopped:
		return true
	case <-ctx.Done():
		s.grpc.Stop()
		<-stopped
		return false
	}
}
