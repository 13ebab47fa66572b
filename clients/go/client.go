package kootask

import (
	"context"
	"crypto/tls"
	"fmt"
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
)

// Config is how kootask is reached, and as whom.
type Config struct {
	// Addr is kootask's gRPC address, host:port, or any other target that gRPC knows. Required.
	Addr string
	// TLS is how the connection is secured; &tls.Config{} trusts the system's roots. Nil is plaintext, over which
	// credentials travel in the clear.
	TLS *tls.Config
	// Token is the KooDrive credential of all calls that do not name another with [Token]. Empty: none.
	Token string
	// UserID is the KooDrive user on whose behalf all calls are made that do not name another with [UserID]. Empty: none.
	UserID string
	// CallerToken returns the token, a JWT without "Bearer ", by which kootask itself knows the caller: Token is for KooDrive.
	// Every call and every stream of a watch asks for it anew, so that one that is renewed counts; several may ask at a time,
	// and wait for the answer whatever their contexts say. An empty token is not sent. An error ends the call: it is wrapped
	// in an [*Error] without a Reason, whose Code is Unauthenticated, and so must not hold the token. Nil: none.
	CallerToken func() (string, error)
	// DialOptions come after those of the client, and so win.
	DialOptions []grpc.DialOption
}

// How the connection is kept. kootask disconnects clients that ping more often than every 20 s.
const (
	pingAfter    = 30 * time.Second
	pingTimeout  = 10 * time.Second
	reconnectMax = 5 * time.Second // Between attempts to connect: a redeploy is over in seconds.
)

// Client calls kootask. It is safe for concurrent use, and one is enough for a process.
type Client struct {
	tasks       taskv1.TaskServiceClient
	options     []Option
	callerToken func() (string, error) // May be nil.
	met         atomic.Bool            // kootask has answered, once.

	closed context.Context // It ends with the Client, and the watches with it.
	close  func() error
}

// New returns a Client. It does not connect: the first call does, and the connection is renewed whenever it breaks. It
// fails if Addr is no address. Close the Client.
func New(config Config) (*Client, error) {
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
		grpc.WithUserAgent("kootask-go"),
	}, config.DialOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("kootask's address: %w", err)
	}
	closed, closing := context.WithCancel(context.Background())
	return &Client{
		tasks:   taskv1.NewTaskServiceClient(conn),
		options: []Option{Token(config.Token), UserID(config.UserID)}, callerToken: config.CallerToken,
		closed: closed,
		close: sync.OnceValue(func() error {
			closing()
			return conn.Close()
		}),
	}, nil
}

// Close ends all calls and watches in flight. Another time it does nothing.
func (c *Client) Close() error { return c.close() }

// Option is one of a call's.
type Option func(*call)

// call is what the options of one come to.
type call struct {
	token, userID, language string
	maxAge                  *durationpb.Duration
	failedTaskAsError       bool
}

// Token makes a call with this KooDrive credential: a token, with or without "Bearer " in front.
func Token(token string) Option { return func(c *call) { c.token = token } }

// UserID makes a call on behalf of this KooDrive user.
func UserID(id string) Option { return func(c *call) { c.userID = id } }

// Language makes errors carry a message in it: en-US or zh-CN.
func Language(language string) Option { return func(c *call) { c.language = language } }

// MaxAge lets Get return an answer that is so old: 0 asks KooDrive in any case. Without it a finished task may be a
// minute old, and KooDrive is asked for any other. Watch does not heed it.
func MaxAge(age time.Duration) Option { return func(c *call) { c.maxAge = durationpb.New(age) } }

// FailedTaskAsError makes a task that has failed an [*Error] with the reason TASK_FAILED. Watch hands it out first.
func FailedTaskAsError() Option { return func(c *call) { c.failedTaskAsError = true } }

// begin returns the options of a call and the context to make it with.
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

// Get returns a task as it stands now. It fails with an [*Error], in which kootask says whether it helps to call again: Get
// itself calls once.
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
		return nil, failure
	}
	c.met.Store(true)
	return resp.GetTask(), nil
}
