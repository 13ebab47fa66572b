package kootask

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/ascii"
)

// Config configures a Client.
type Config struct {
	// Addr is kootask's gRPC address, host:port, or another gRPC target. Required.
	Addr string
	// TLS configures the connection; &tls.Config{} trusts the system's roots. Nil: plaintext, which exposes credentials
	// to the network.
	TLS *tls.Config
	// Token is the KooDrive credential of calls without the option [Token]. Empty: none.
	Token string
	// UserID is the KooDrive user to act for in calls without the option [UserID]. Empty: none.
	UserID string
	// CallerToken returns the token, a JWT without "Bearer ", that authenticates the caller to kootask. (Token is for
	// KooDrive.) It is called for every call and every stream of a watch, so a renewed token takes effect. It must be
	// safe for concurrent use; calls wait for it even if their contexts end. An empty token is not sent. An error ends
	// the call: it is wrapped in an [*Error] with Code Unauthenticated and no Reason, so it must not contain the token.
	// Nil: no token.
	CallerToken func() (string, error)
	// UserAgent precedes the client's own user agent, kootask-go. It names your program, like "orders/1.2", in
	// printable ASCII characters. Empty: none.
	UserAgent string
	// DialOptions are applied after the client's own, so they override them. With any, the client does not know how it
	// connects: the error of a failed connection does not say whether the address or TLS is wrong.
	DialOptions []grpc.DialOption
}

// Keepalive of the connection. kootask disconnects clients that ping more often than every 20 s.
const (
	pingAfter    = 30 * time.Second
	pingTimeout  = 10 * time.Second
	reconnectMax = 5 * time.Second // Between attempts to connect: a redeployment takes seconds.
)

// Client calls kootask. It is safe for concurrent use; one is enough for a process.
type Client struct {
	addr   string
	secure bool // It speaks TLS.
	dials  bool // The caller has set how to connect.

	probeLimit time.Duration

	tasks       taskv1.TaskServiceClient
	options     []Option
	callerToken func() (string, error) // May be nil.
	met         atomic.Bool            // kootask has answered at least once.

	closed context.Context // Ends with the Client, and ends its watches.
	close  func() error
}

// New returns a Client. It does not connect: the first call does, and the connection is renewed when it breaks. It
// fails if Addr or UserAgent is invalid. Close the Client.
func New(config Config) (*Client, error) {
	if !ascii.Printable(config.UserAgent) {
		return nil, errors.New("the user agent must be printable ASCII characters")
	}
	security := insecure.NewCredentials()
	if config.TLS != nil {
		security = credentials.NewTLS(config.TLS)
	}
	reconnect := backoff.DefaultConfig
	reconnect.MaxDelay = reconnectMax
	conn, err := grpc.NewClient(config.Addr, append([]grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: reconnectMax}),
		grpc.WithUserAgent(strings.TrimSpace(config.UserAgent + " kootask-go")),
	}, config.DialOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("kootask's address: %w", err)
	}
	closed, closing := context.WithCancel(context.Background())
	return &Client{
		addr: config.Addr, secure: config.TLS != nil, dials: len(config.DialOptions) > 0,
		probeLimit: probeLimit,
		tasks:      taskv1.NewTaskServiceClient(conn),
		options:    []Option{Token(config.Token), UserID(config.UserID)}, callerToken: config.CallerToken,
		closed: closed,
		close: sync.OnceValue(func() error {
			closing()
			return conn.Close()
		}),
	}, nil
}

// Close ends all calls and watches in flight. It may be called more than once.
func (c *Client) Close() error { return c.close() }

// Option sets an option of one call.
type Option func(*call)

// call has the options of one call.
type call struct {
	token, userID, language string
	maxAge                  *durationpb.Duration
	failedTaskAsError       bool
}

// Token sets the KooDrive credential of a call: a token, with or without "Bearer ".
func Token(token string) Option { return func(c *call) { c.token = token } }

// UserID sets the KooDrive user to act for.
func UserID(id string) Option { return func(c *call) { c.userID = id } }

// Language sets the language of [Error.LocalizedMessage], such as zh-CN. docs/errors.md lists them.
func Language(language string) Option { return func(c *call) { c.language = language } }

// MaxAge limits the age of Get's answer; 0 always asks KooDrive. Without it, a finished task may be up to a minute old,
// and KooDrive is asked for any other task. Watches ignore it.
func MaxAge(age time.Duration) Option { return func(c *call) { c.maxAge = durationpb.New(age) } }

// FailedTaskAsError turns a failed task into an [*Error] with the reason TASK_FAILED. Watch yields the task first.
// The option has no effect on WatchAll.
func FailedTaskAsError() Option { return func(c *call) { c.failedTaskAsError = true } }

// begin returns the context and the options of a call.
func (c *Client) begin(ctx context.Context, options []Option) (context.Context, call) {
	var o call
	for _, option := range append(c.options[:len(c.options):len(c.options)], options...) {
		option(&o)
	}
	for _, pair := range [][2]string{{"authorization", o.token}, {"x-user-id", o.userID}, {"language", o.language}} {
		if pair[1] != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, pair[0], pair[1])
		}
	}
	return ctx, o
}

// Get returns the task as it is now. It makes one call, and fails with an [*Error] that says whether to retry.
func (c *Client) Get(ctx context.Context, id string, options ...Option) (*taskv1.Task, error) {
	ctx, o := c.begin(ctx, options)
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	resp, err := c.tasks.GetTask(identify(ctx, token), &taskv1.GetTaskRequest{
		TaskId: id, MaxAge: o.maxAge, FailedTaskAsError: o.failedTaskAsError,
	})
	if err != nil {
		failure := toError(ctx, err)
		c.met.CompareAndSwap(false, failure.Reason != "")
		return nil, c.explain(ctx, failure)
	}
	c.met.Store(true)
	return resp.GetTask(), nil
}
