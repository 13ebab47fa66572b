// Package rpcserver runs the calls of a TaskService: what every call goes through, in two forms. A [Server] is the gRPC server of a
// port, with health, limits and a stop that ends. A [Local] is the gateway's way to the same handlers, in this process and over no wire.
//
//	s := rpcserver.New(rpcserver.Config{Service: service, Who: auth.Call, Log: log, MaxStreams: rpcserver.MaxStreams})
//	go s.Serve(listener)
//	…
//	s.Stop(ctx)
package rpcserver

import (
	"context"
	"log/slog"
	"math"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // Clients may compress their requests.
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
)

// Limits of a server.
const (
	// MaxStreams is how many calls and watches one connection to the public port may have at a time.
	MaxStreams = 1000
	// MaxHeader is the size of the largest request header that is answered, in bytes. A call with more is refused alone, up to
	// MaxHeaderRead; beyond that its connection may end.
	MaxHeader     = caller.MaxHeader
	MaxHeaderRead = 64 << 10
	// MaxMessage is the size of the largest request, decompressed, in bytes: a task id and two small fields.
	MaxMessage = 4 << 10
	// ClientPing is how often a client may ping.
	ClientPing = 20 * time.Second

	// MaxConnectionAge is after how long the client of a connection is told to open another one, a tenth sooner or later at
	// random: otherwise a balancer's choice would last as long as the client.
	MaxConnectionAge = 45 * time.Minute

	// Ping is after how long without a word a client is pinged, and PingTimeout how long it may take to answer.
	Ping        = 60 * time.Second
	PingTimeout = 20 * time.Second

	// ConnectTimeout is how long a client may take for the TLS handshake and HTTP/2's preface.
	ConnectTimeout = 10 * time.Second

	ageMargin = time.Minute
)

// Config is what a Server is made of.
type Config struct {
	// Service answers. Required.
	Service taskv1.TaskServiceServer
	// Who returns who makes a call, or why it may not be made; needed tells whether that matters: to health and reflection it
	// does not. Required.
	Who func(ctx context.Context, needed bool) (caller.Caller, error)
	// Called is told the address that a call comes from, as the call begins. It must not block. Nil: nobody wants to know.
	Called func(from net.Addr)
	// Log gets a line for each call. Required.
	Log *slog.Logger
	// Metrics is where what is counted is registered. Nil: nobody sees it.
	Metrics prometheus.Registerer
	// MaxStreams is how many calls a connection may have at a time. 0 is no limit.
	MaxStreams uint32
	// LongestCall is how long a call may take. A connection that is too old is kept for this and a minute, so that the calls
	// that it carries end by themselves. 0: no connection is too old.
	LongestCall time.Duration
	// Reflection lets clients ask for the contract.
	Reflection bool
	// Credentials secure the connections. Nil: they are plaintext.
	Credentials credentials.TransportCredentials
}

// HealthKooDrive is the health service name for KooDrive itself. Its outage leaves the other names SERVING.
const HealthKooDrive = "koodrive"

// Server is a gRPC server with TaskService, and with health by the names "" and "koodrive.task.v1.TaskService", and
// [HealthKooDrive].
type Server struct {
	grpc   *grpc.Server
	health *health.Server
	stop   context.CancelFunc // Ends what would not end by itself.
}

// New returns a Server that does not serve yet.
func New(config Config) *Server {
	stopping, stop := context.WithCancel(context.Background())
	calls := &calls{who: config.Who, log: config.Log, metrics: newMetrics(config.Metrics)}
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
			grpc.UnaryInterceptor(calls.unary),
			grpc.StreamInterceptor(calls.stream),
			grpc.InTapHandle(newRequests(stopping, config).tap),
			grpc.MaxConcurrentStreams(streams),
			grpc.MaxHeaderListSize(MaxHeaderRead),
			grpc.MaxRecvMsgSize(MaxMessage),
			grpc.ConnectionTimeout(ConnectTimeout),
			grpc.KeepaliveParams(params),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: ClientPing, PermitWithoutStream: true}),
			grpc.WaitForHandlers(true),
		),
		health: health.NewServer(),
		stop:   stop,
	}
	taskv1.RegisterTaskServiceServer(s.grpc, config.Service)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	s.health.SetServingStatus(taskv1.TaskService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	s.KooDrive(true)
	if config.Reflection {
		reflection.Register(s.grpc)
	}
	return s
}

// Serve answers on listener until Stop.
func (s *Server) Serve(listener net.Listener) error { return s.grpc.Serve(listener) }

// KooDrive makes health say whether KooDrive works.
func (s *Server) KooDrive(works bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if works {
		status = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus(HealthKooDrive, status)
}

// Drain makes health say that the server is about to stop. Calls are still answered.
func (s *Server) Drain() { s.health.Shutdown() }

// Stop takes no more calls and waits for those in flight. When ctx ends it breaks them off. It reports whether it came
// without that.
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
