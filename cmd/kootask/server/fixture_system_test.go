package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestMain(m *testing.M) {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) // As `kootask serve` does.
	goleak.VerifyTestMain(m)
}

const (
	exampleID = "1534087020903704704"
	taskID    = "1534087020903704705"
	token     = "0123456789abcdef0123456789abcdef0123456789abcdef"
)

// system is the whole service in one bubble: KooDrive's double, the server that `kootask serve` runs, and a client for each port.
type system struct {
	koodrive                      *koodrivetest.KooDrive
	grpcPort, httpPort, adminPort *koodrivetest.Listener
	conn                          *grpc.ClientConn
	tasks                         taskv1.TaskServiceClient
	http                          *http.Client // For any host: all lead to the HTTP port.
	credential                    string       // The bearer token of watches; empty: token.
	admin                         *http.Client
	log                           *buffer
	out                           *evidence                   // Everything that leaves the system.
	peer                          atomic.Pointer[net.TCPAddr] // The peer of new connections to the ports.
	resets                        atomic.Bool                 // A client's close is a reset.
	stop, interrupt               func()                      // Stop the server, as SIGTERM and SIGINT do.
	stopped                       chan error                  // The result of Run.
	probe                         func()                      // The server's Probe.
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// calls is the log without the lines for requests to KooDrive.
func (s *system) calls() string {
	var calls strings.Builder
	for line := range strings.Lines(s.log.String()) {
		if !strings.Contains(line, `"msg":"koodrive request"`) {
			calls.WriteString(line)
		}
	}
	return calls.String()
}

// bubble runs test with the whole service in virtual time. configure may be nil.
func bubble(t *testing.T, configure func(*server.Config), test func(t *testing.T, s *system)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, configure)
		test(t, s)
	})
}

func start(t *testing.T, configure func(*server.Config)) *system {
	t.Helper()
	s := &system{koodrive: koodrivetest.New(), log: &buffer{}, out: newEvidence(), stopped: make(chan error, 1)}
	s.koodrive.AddToken(token, 0)
	koodrive := koodrivetest.Listen()
	koodriveServer := &http.Server{Handler: s.koodrive}
	go func() { _ = koodriveServer.Serve(koodrive) }()

	config := server.Config{Reflection: true, Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	config.Upstream.BaseURL, config.Upstream.AllowHTTP = "http://koodrive.test", true
	config.Upstream.Dial = koodrive.Dial
	config.Service.Quota.NewTasksPerPeer = 100_000 // All clients of a test are one peer.
	if configure != nil {
		configure(&config)
	}
	srv, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.probe = srv.Probe
	ctx, stop := context.WithCancelCause(context.Background())
	s.stop, s.interrupt = func() { stop(nil) }, func() { stop(server.ErrInterrupted) }
	// Not grpc's bufconn: over it, net/http sometimes meets a read deadline that it has cleared.
	s.grpcPort, s.httpPort, s.adminPort = koodrivetest.Listen(), koodrivetest.Listen(), koodrivetest.Listen()
	s.comeFrom("192.0.2.1:1000")
	ports := server.Listeners{GRPC: addressed{s.grpcPort, s}, HTTP: addressed{s.httpPort, s}, Admin: addressed{s.adminPort, s}}
	go func() { s.stopped <- srv.Run(ctx, ports) }()

	s.http, s.admin = httpClient(s.httpPort), httpClient(s.adminPort)
	t.Cleanup(func() {
		s.out.look(s)
		s.http.CloseIdleConnections()
		s.admin.CloseIdleConnections()
		s.interrupt()
		if err := <-s.stopped; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		_ = koodriveServer.Close()
		s.out.end(t, s)
	})
	s.conn = s.dial(t)
	s.tasks = taskv1.NewTaskServiceClient(s.conn)
	return s
}

// comeFrom sets the address from which new connections come.
func (s *system) comeFrom(address string) {
	s.peer.Store(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)))
}

// addressed is a port whose connections come from the system's peer.
type addressed struct {
	net.Listener
	system *system
}

// Addr is a loopback address, so that the admin port serves profiles.
func (l addressed) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9091} }

func (l addressed) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return addressedConn{conn, l.system.peer.Load(), &l.system.resets}, nil
}

type addressedConn struct {
	net.Conn
	from   net.Addr
	resets *atomic.Bool
}

func (c addressedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.EOF) && c.resets.Load() {
		err = syscall.ECONNRESET
	}
	return n, err
}

func (c addressedConn) RemoteAddr() net.Addr { return c.from }

// dial returns another connection to the gRPC port.
func (s *system) dial(t *testing.T, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///kootask", append([]grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.grpcPort.Dial(ctx, "", "") }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(s.out),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// over returns the system as seen by a client that speaks TLS to both ports, over connections of its own, with HTTP/2 or
// HTTP/1.1.
func (s *system) over(t *testing.T, config *tls.Config, http2 bool) *system {
	t.Helper()
	conn := s.dial(t, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	client := httpClient(s.httpPort)
	transport := client.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.Protocols = config.Clone(), &http.Protocols{}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	client.Transport = secured{transport}
	t.Cleanup(client.CloseIdleConnections)
	return &system{
		koodrive: s.koodrive, grpcPort: s.grpcPort, httpPort: s.httpPort, conn: conn, tasks: taskv1.NewTaskServiceClient(conn),
		http: client, admin: s.admin, log: s.log, out: s.out,
	}
}

// secured sends requests over https, since all tests write http.
type secured struct{ *http.Transport }

func (s secured) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "https"
	return s.Transport.RoundTrip(r)
}

func httpClient(l *koodrivetest.Listener) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         l.Dial,
			MaxIdleConnsPerHost: 100,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// h2c makes a client use HTTP/2 without TLS.
func h2c(client *http.Client) *http.Transport {
	transport := client.Transport.(*http.Transport)
	transport.Protocols = &http.Protocols{}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return transport
}

// as returns ctx with a bearer token.
func as(ctx context.Context, token string, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, append([]string{"authorization", "Bearer " + token}, pairs...)...)
}

// noAge is a max_age for which the cache is never fresh enough.
var noAge = durationpb.New(0)

// request returns a GET of path with the token and further headers.
func request(ctx context.Context, t *testing.T, path string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://kootask.test"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// get returns the answer to a request and its body.
func (s *system) get(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.out.response(resp)
	s.out.body(resp, string(body))
	openAPI().allows(t, resp, string(body))
	return resp, string(body)
}
