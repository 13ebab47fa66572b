// Package gateway serves TaskService to browsers and curl: REST with JSON, watches as JSON lines or server-sent events,
// and a page that shows watches. It forwards every call to TaskService, and decides only about HTTP itself: routes, the
// query, the format of streams and of errors.
//
//	handler, err := gateway.New(gateway.Config{Conn: conn, Auth: auth, Log: log})
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/jsonline"
	"github.com/kootask/kootask/internal/panics"
	"github.com/kootask/kootask/internal/rates"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/message"
	"github.com/kootask/kootask/service/reason"
)

// Config configures a Gateway.
type Config struct {
	// Conn leads to TaskService. Required. The context of a call has its caller: see [caller.NewContext].
	Conn Conn
	// Auth authenticates the callers. Required.
	Auth *auth.Authenticator
	// Origins are the web origins whose pages may read the answers, like https://tasks.example. Empty: only kootask's
	// own.
	Origins []string
	// LocalOrigins lets the pages of all loopback origins read the answers as well, with any port: those of dev servers.
	LocalOrigins bool
	// LocalHosts refuses requests whose Host is not a loopback name. It prevents DNS rebinding: a foreign page whose
	// name is made to resolve to this machine could otherwise act with the rights of its local callers.
	LocalHosts bool
	// Console serves the page that watches tasks, at /, and the API reference, at /docs.
	Console bool
	// ResultTexts are what KooDrive's result codes say, by code and language, for the page. Nil: unknown.
	ResultTexts map[string]map[string]string
	// Demo is a credential and tasks that the page offers to everybody. Nil: it offers none.
	Demo *Demo
	// CheckTaskID fails with a [*reason.Error] if id cannot be a task's id. Required.
	CheckTaskID func(id string) error
	// CheckTaskIDs returns the distinct ids. It fails with a [*reason.Error] if they cannot be those of a list. Required.
	CheckTaskIDs func(ids []string) (distinct []string, err error)
	// TicketsPerPeer limits the tickets per second for one address, with a burst of [rates.Burst] times as many. 0:
	// [DefaultTicketsPerPeer].
	TicketsPerPeer int
	// Log gets a line for each request that the gateway refuses. Required.
	Log *slog.Logger
	// Metrics registers the gateway's metrics. Nil: they are not registered.
	Metrics prometheus.Registerer
}

// Conn is a connection to TaskService in this process. NewStream is not called.
type Conn interface {
	grpc.ClientConnInterface
	// Stream runs a call with a stream of messages, and sends its messages to sink until it returns the call's error.
	Stream(ctx context.Context, method string, request proto.Message, sink message.Sink) error
}

// Gateway is the handler of all routes. It is safe for concurrent use.
type Gateway struct {
	mux            *runtime.ServeMux
	routes         []route
	handler        http.Handler // The routes, behind the check of origins.
	conn           Conn
	tasks          taskv1.TaskServiceClient // On conn.
	auth           *auth.Authenticator
	log            *slog.Logger
	localHosts     bool
	checkTaskID    func(id string) error
	checkTaskIDs   func(ids []string) ([]string, error)
	ticketRates    *rates.Rates
	ticketsPerPeer int
	refused        *prometheus.CounterVec // By outcome.
}

// New returns a Gateway, or an error if a route cannot be registered.
func New(config Config) (*Gateway, error) { return withTable(config, (*Gateway).table) }

// withTable returns a Gateway with the routes of a table.
func withTable(config Config, table func(*Gateway) []route) (*Gateway, error) {
	ticketsPerPeer := cmp.Or(config.TicketsPerPeer, DefaultTicketsPerPeer)
	g := &Gateway{
		conn: config.Conn, tasks: taskv1.NewTaskServiceClient(config.Conn), auth: config.Auth, log: config.Log,
		localHosts:  config.LocalHosts,
		checkTaskID: config.CheckTaskID, checkTaskIDs: config.CheckTaskIDs,
		ticketRates: rates.New(ticketsPerPeer), ticketsPerPeer: ticketsPerPeer,
		refused: promauto.With(config.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "kootask_http_refused_total", Help: "Requests that the HTTP port refused by itself, by outcome.",
		}, []string{"outcome"}),
	}
	for _, outcome := range reason.Outcomes() { // A series at 0 makes its first event visible to rate().
		g.refused.WithLabelValues(outcome.Name)
	}
	none := func(string) (string, bool) { return "", false }
	options := []runtime.ServeMuxOption{
		// The default mode answers 404 for a%2Fb, and takes a%3Awatch for a watch of a.
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptReserved),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithIncomingHeaderMatcher(none),
		runtime.WithOutgoingHeaderMatcher(none),
		runtime.WithOutgoingTrailerMatcher(none),
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &lineMarshaler{runtime.JSONPb{MarshalOptions: jsonForm}}),
		runtime.WithErrorHandler(g.handleError),
		runtime.WithRoutingErrorHandler(g.handleRoutingError),
	}
	generated := runtime.NewServeMux(options...) // For checked requests.
	g.mux = runtime.NewServeMux(append(options, runtime.WithMiddlewares(g.checked))...)
	description, err := openAPIAsset()
	if err != nil {
		return nil, err
	}
	// The registration lasts until its context ends.
	if err := taskv1.RegisterTaskServiceHandlerClient(context.Background(), generated, g.tasks); err != nil {
		return nil, err
	}
	g.handler = crossOrigin(config.Origins, config.LocalOrigins, router{g})
	if config.Console {
		if err := errors.Join(registerConsole(g.mux, config.ResultTexts, config.Demo), registerDocs(g.mux)); err != nil {
			return nil, err
		}
	}
	// The mux tries later routes first.
	g.routes = table(g)
	for i, r := range slices.Backward(g.routes) {
		if r.handle == nil {
			r.handle = func(w http.ResponseWriter, r *http.Request, _ map[string]string) { generated.ServeHTTP(w, r) }
		}
		g.routes[i].checked = g.checked(r.handle)
		if err := errors.Join(r.valid(), g.mux.HandlePath(r.method, r.path, r.handle)); err != nil {
			return nil, err
		}
	}
	return g, description.route(g.mux, "/openapi.json")
}

// jsonForm is the JSON form of all messages: it includes zero values, such as the status 0 of a new task.
var jsonForm = protojson.MarshalOptions{EmitDefaultValues: true}

// lineMarshaler writes grpc-gateway's bodies in the same form as all other JSON of the gateway.
type lineMarshaler struct{ runtime.JSONPb }

// Marshal returns the JSON of a message, on one line. It fails if v is not a message.
func (m *lineMarshaler) Marshal(v any) ([]byte, error) {
	message, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("marshalling %T, which is not a message", v)
	}
	return jsonline.Marshal(m.MarshalOptions, message)
}

// requestIDHeader is [caller.HeaderRequestID] in the form of net/http, which it need not bring it into then.
const requestIDHeader = "X-Request-Id"

// commonHeader is part of every answer. Its values are shared and must not be changed.
var commonHeader = http.Header{
	"Cache-Control":          {"no-store"},
	"Vary":                   {"Origin, Authorization, X-Kootask-Authorization, Language"},
	"X-Content-Type-Options": {"nosniff"},
}

// ServeHTTP implements [http.Handler]. It sets the request's id and the headers that all answers share.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer g.guard(r)
	if g.begin(w, r) {
		g.handler.ServeHTTP(w, r)
	}
}

// begin sets the headers that all answers share. It answers a request that no route handles, and reports whether there
// is more to do. Its frame is not part of the stack on which a stream waits.
func (g *Gateway) begin(w http.ResponseWriter, r *http.Request) bool {
	id := []string{caller.RequestID(caller.Values(r.Header))}
	r.Header[requestIDHeader] = id
	h := w.Header()
	h[requestIDHeader] = id
	maps.Copy(h, commonHeader)
	if !noBody(w, r) {
		refuseBody(w, r)
	}
	if headerSize(r) > caller.MaxHeader {
		g.refused.WithLabelValues(reason.HeaderInvalid.Name).Inc()
		http.Error(w, "The request's header is larger than 16 KiB.", http.StatusRequestHeaderFieldsTooLarge)
		return false
	}
	if g.localHosts && !IsLocal(r.Host) {
		g.refuse(w, r, reason.Invalid(reason.HeaderInvalid, "host", reason.Unsupported,
			"Must be localhost or a loopback address, because callers are not authenticated here."))
		return false
	}
	return true
}

// router hands requests to the handlers of their routes. A request whose path has the usual escapes or none goes
// there directly: the mux, which understands others and refuses other methods, would allocate more than the rest of the
// call, and take more of its stack. An http.HandlerFunc would take two frames of that.
type router struct{ gateway *Gateway }

// ServeHTTP implements [http.Handler].
func (o router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler, params := o.gateway.direct(r); handler != nil {
		handler(w, r, params)
		return
	}
	o.gateway.mux.ServeHTTP(w, r)
}

// direct returns the handler of a request's route and its parameters; nil if the mux must find the handler.
// Its frame is not part of the stack on which a stream waits.
func (g *Gateway) direct(r *http.Request) (runtime.HandlerFunc, map[string]string) {
	found, id, ok := g.routeOf(r.URL.Path)
	if !ok || r.Method != found.method || r.URL.RawPath != "" {
		return nil, nil
	}
	if strings.HasPrefix(found.path, tasksPath) && (id == "" || strings.Contains(id, "/")) {
		return nil, nil
	}
	return found.checked, map[string]string{"task_id": id}
}

// headerSize returns the size of a request's header, including its first line. net/http accepts larger headers than
// caller.MaxHeader, because beyond its own limit it closes the connection, which a proxy may share between users.
func headerSize(r *http.Request) int {
	return caller.HeaderSize(r.Header) + len(r.Method) + len(r.Host) + len(r.RequestURI)
}

// guard aborts the answer after a panic, since a part of it may have been sent. net/http would do so too, but would log
// the panic's value, which may hold secrets.
func (g *Gateway) guard(r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		g.log.LogAttrs(r.Context(), slog.LevelError, "request broken off",
			slog.String("request_id", caller.RequestID(r.Header.Values)),
			slog.String("peer", g.auth.Peer(r)),
			slog.String("outcome", reason.FacadeBug.Name),
			slog.String("error", panics.Error(p, "in the gateway").Error()))
	}
	panic(http.ErrAbortHandler)
}

// handleError answers a call that failed in TaskService or on the way to it.
func (g *Gateway) handleError(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error,
) {
	var malformed *runtime.HTTPStatusError
	if errors.As(err, &malformed) {
		g.refuse(w, r, reason.Invalid(reason.RequestMalformed, "path", reason.Malformed, "The path must be percent-encoded."))
		return
	}
	st := status.Convert(err)
	if name, _ := reason.Read(st); name == "" { // It is not from TaskService, which would have logged it.
		g.refuse(w, r, reason.OfStatus(st))
		return
	}
	writeError(w, st)
}

// handleRoutingError answers a request without a route.
func (g *Gateway) handleRoutingError(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, httpStatus int,
) {
	if httpStatus == http.StatusMethodNotAllowed {
		allow := "GET, HEAD" // For assets.
		if found, _, ok := g.routeOf(r.URL.EscapedPath()); ok {
			allow = found.method
		}
		w.Header().Set("Allow", allow)
		g.refuse(w, r, &reason.Error{Outcome: reason.MethodNotAllowed})
		return
	}
	g.refuse(w, r, &reason.Error{Outcome: reason.RouteNotFound})
}

// who returns the caller of a request: the authenticated one if there is one, and otherwise as the request names it.
func (g *Gateway) who(r *http.Request) caller.Caller {
	if who, ok := caller.FromContext(r.Context()); ok {
		return *who
	}
	who, _ := g.auth.Read(r)
	return who
}

// refuse answers, counts and logs a request that does not reach TaskService.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, failure *reason.Error) {
	who := g.who(r)
	st := failure.Status(who.RequestID, who.Language)
	if failure.Outcome != reason.CallerCancelled { // A caller that has left was not refused, and TaskService has logged the call.
		g.refused.WithLabelValues(failure.Outcome.Name).Inc()
		g.log.LogAttrs(r.Context(), slog.LevelWarn, "request refused", append(who.AppendAttrs(nil, g.taskIDOf(r)),
			slog.String("method", methodForm.FindString(r.Method)),
			slog.String("code", st.Code().String()),
			slog.String("reason", failure.Reason()),
			slog.String("outcome", failure.Outcome.Name),
			slog.String("error", failure.Error()),
		)...)
	}
	writeError(w, st)
}

// methodForm matches the methods that are logged. Others may be anything.
var methodForm = regexp.MustCompile(`^[A-Z]{3,7}$`)

// taskIDOf returns the task id in the path of a request, whatever its method.
func (g *Gateway) taskIDOf(r *http.Request) string {
	_, id, _ := g.routeOf(r.URL.Path)
	return id
}
