// Package gateway offers TaskService to browsers and curl: REST with JSON, a watch as JSON lines or server-sent events, and a
// page that shows watches. It is a client of TaskService, to which every call goes; it decides itself what HTTP needs: routes, the
// query, the form of a stream and that of an error.
//
//	handler, err := gateway.New(gateway.Config{Conn: conn, Auth: auth, Log: log})
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"time"

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
	"github.com/kootask/kootask/service/reason"
)

// Config is what a gateway is made of.
type Config struct {
	// Conn leads to TaskService. Required. The context of a call has its caller: see [caller.NewContext]. It should have no cap on
	// streams, since all HTTP clients share it.
	Conn grpc.ClientConnInterface
	// Callers says who makes a request, and whether it may. Required.
	Auth *auth.Authenticator
	// Origins are those whose pages may read the answers, like https://tasks.example. None: only pages of kootask's own.
	Origins []string
	// LocalHosts alone are answered: requests that name this machine as their host. Otherwise a page whose name comes to lead
	// here, after it was loaded from elsewhere, could ask whatever those may who are on this machine.
	LocalHosts bool
	// Console serves pages for browsers: one that watches tasks, at /, and the API reference, at /docs.
	Console bool
	// CheckTaskID fails with a [*reason.Error] for a text that cannot be the id of a task. Required.
	CheckTaskID func(id string) error
	// TicketsPerPeer is how many tickets one address may get in a second, and ten times as many at once. 0 is
	// [DefaultTicketsPerPeer].
	TicketsPerPeer int
	// Log gets a line for each request that is refused here. Required.
	Log *slog.Logger
	// Metrics is where those requests are counted. Nil: nobody sees it.
	Metrics prometheus.Registerer
}

// Gateway is the handler of all routes. It is safe for concurrent use.
type Gateway struct {
	mux            *runtime.ServeMux
	routes         []route
	handler        http.Handler // The mux, behind the check of which pages may read its answers.
	tasks          taskv1.TaskServiceClient
	auth           *auth.Authenticator
	log            *slog.Logger
	localHosts     bool
	checkTaskID    func(id string) error
	ticketRates    *rates.Rates
	ticketsPerPeer int
	refused        *prometheus.CounterVec // By outcome.
	slow           prometheus.Counter     // Streams that were cut, because their client did not read.
}

// New returns a Gateway.
func New(config Config) (*Gateway, error) {
	g := &Gateway{
		tasks: taskv1.NewTaskServiceClient(config.Conn), auth: config.Auth, log: config.Log, localHosts: config.LocalHosts,
		checkTaskID: config.CheckTaskID,
		ticketRates: rates.New(cmp.Or(config.TicketsPerPeer, DefaultTicketsPerPeer)), ticketsPerPeer: cmp.Or(config.TicketsPerPeer, DefaultTicketsPerPeer),
		refused: promauto.With(config.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "kootask_http_refused_total", Help: "Requests that the HTTP port refused by itself, by outcome.",
		}, []string{"outcome"}),
	}
	g.slow = promauto.With(config.Metrics).NewCounter(prometheus.CounterOpts{
		Name: "kootask_http_too_slow_total", Help: "Streams that the HTTP port cut because their client did not read. Their watches end as CANCELLED.",
	})
	for _, outcome := range reason.Outcomes() { // So that the first of its kind is an increase.
		g.refused.WithLabelValues(outcome.Name)
	}
	none := func(string) (string, bool) { return "", false }
	g.mux = runtime.NewServeMux(
		// The default answers 404 to a%2Fb, and takes a%3Awatch for a watch of a.
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptReserved),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithIncomingHeaderMatcher(none),
		runtime.WithOutgoingHeaderMatcher(none),
		runtime.WithOutgoingTrailerMatcher(none),
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &lineMarshaler{runtime.JSONPb{MarshalOptions: jsonForm}}),
		runtime.WithMiddlewares(g.checked),
		runtime.WithErrorHandler(g.handleError),
		runtime.WithRoutingErrorHandler(g.handleRoutingError),
	)
	description, err := openAPIAsset()
	if err != nil {
		return nil, err
	}
	// Not the request's context: it ends the registration, which lasts as long as the process.
	if err := taskv1.RegisterTaskServiceHandlerClient(context.Background(), g.mux, g.tasks); err != nil {
		return nil, err
	}
	g.handler = crossOrigin(config.Origins, g.mux)
	if config.Console {
		if err := errors.Join(registerConsole(g.mux), registerDocs(g.mux)); err != nil {
			return nil, err
		}
	}
	// The route that is registered later wins: the generated one for the watch has neither events nor an end.
	g.routes = g.table()
	for _, r := range g.routes {
		if r.handle != nil {
			if err := g.mux.HandlePath(r.method, r.path, r.handle); err != nil {
				return nil, err
			}
		}
	}
	return g, description.route(g.mux, "/openapi.json")
}

// jsonForm is how every message looks as JSON: all that is not optional is there, a NEW task's status 0 too.
var jsonForm = protojson.MarshalOptions{EmitDefaultValues: true}

// lineMarshaler writes the bodies of grpc-gateway's answers like all other JSON of the gateway.
type lineMarshaler struct{ runtime.JSONPb }

// Marshal returns a message as JSON.
func (m *lineMarshaler) Marshal(v any) ([]byte, error) {
	message, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("marshalling %T, which is not a message", v)
	}
	return jsonline.Marshal(m.MarshalOptions, message)
}

// ServeHTTP gives the request its id, and every answer the headers that all have.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer g.guard(r)
	id := caller.RequestID(r.Header.Values)
	r.Header.Set(caller.HeaderRequestID, id)
	h := w.Header()
	h.Set(caller.HeaderRequestID, id)
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Origin, Authorization, X-Kootask-Authorization, Language")
	h.Set("X-Content-Type-Options", "nosniff")
	if !noBody(w, r) {
		refuseBody(w, r)
	}
	if headerSize(r) > caller.MaxHeader {
		g.refused.WithLabelValues(reason.HeaderInvalid.Name).Inc()
		http.Error(w, "The request's header is larger than 16 KiB.", http.StatusRequestHeaderFieldsTooLarge)
		return
	}
	if g.localHosts && !IsLocal(r.Host) {
		g.refuse(w, r, reason.Invalid(reason.HeaderInvalid, "host", reason.Unsupported, "Must be localhost or a loopback address, because callers are not authenticated here."))
		return
	}
	g.handler.ServeHTTP(w, r)
}

// headerSize is the size of a request's header with its first line. The server accepts longer headers than are answered, because
// net/http ends the whole connection beyond its own limit: other users' streams may share it behind a proxy.
func headerSize(r *http.Request) int {
	return caller.HeaderSize(r.Header) + len(r.Method) + len(r.Host) + len(r.RequestURI)
}

// guard cuts off what panics: part of it may have been sent. net/http would do so too, but would log the value of the panic,
// which may hold anything.
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

// bodyTimeout is how long a body may take to end that should be empty, or that nobody reads.
const bodyTimeout = time.Second

// noBody reports whether a request has no body, or an empty one of unknown length: chunks that end at once, or HTTP/2 data
// without a byte. Some clients and proxies send one with every GET. Afterwards the request looks as if it had none.
func noBody(w http.ResponseWriter, r *http.Request) bool {
	if r.ContentLength >= 0 {
		return r.ContentLength == 0
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	if n, err := io.ReadFull(r.Body, make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return false
	}
	_ = control.SetReadDeadline(time.Time{})
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
	return true
}

// refuseBody keeps net/http from waiting for a body: before it answers, unless the connection is then closed, and after it
// has, without a limit.
func refuseBody(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
}

// handleError answers a call that failed at TaskService, or on the way to it.
func (g *Gateway) handleError(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error,
) {
	var malformed *runtime.HTTPStatusError
	if errors.As(err, &malformed) {
		g.refuse(w, r, reason.Invalid(reason.RequestMalformed, "path", reason.Malformed, "The path is not correctly encoded."))
		return
	}
	st := status.Convert(err)
	if name, _ := reason.Read(st); name == "" { // It has not come from TaskService, whose connection would have logged it.
		g.refuse(w, r, reason.OfStatus(st))
		return
	}
	writeError(w, st)
}

// handleRoutingError answers a request that has no route.
func (g *Gateway) handleRoutingError(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, httpStatus int,
) {
	if httpStatus == http.StatusMethodNotAllowed {
		allow := "GET, HEAD" // Of an asset.
		if found, _, ok := g.routeOf(r.URL.EscapedPath()); ok {
			allow = found.method
		}
		w.Header().Set("Allow", allow)
		g.refuse(w, r, &reason.Error{Outcome: reason.MethodNotAllowed})
		return
	}
	g.refuse(w, r, &reason.Error{Outcome: reason.RouteNotFound})
}

// who returns who makes a request, as far as is known.
func (g *Gateway) who(r *http.Request) caller.Caller {
	if who, ok := caller.FromContext(r.Context()); ok {
		return who
	}
	who, _ := g.auth.Read(r)
	return who
}

// refuse answers a request that TaskService does not see.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, failure *reason.Error) {
	who := g.who(r)
	st := failure.Status(who.RequestID, who.Language)
	if failure.Outcome != reason.CallerCancelled { // Who has left is not refused, and the call has its own line.
		g.refused.WithLabelValues(failure.Outcome.Name).Inc()
		g.log.LogAttrs(r.Context(), slog.LevelWarn, "request refused", append(who.LogAttrs(g.taskIDOf(r)),
			slog.String("method", methodForm.FindString(r.Method)),
			slog.String("code", st.Code().String()),
			slog.String("reason", failure.Reason()),
			slog.String("outcome", failure.Outcome.Name),
			slog.String("error", failure.Error()),
		)...)
	}
	writeError(w, st)
}

// methodForm is that of HTTP's methods. Another one is left out of the log: it may be anything.
var methodForm = regexp.MustCompile(`^[A-Z]{3,7}$`)

// taskIDOf is the id in the path of a task's route, whatever the method is.
func (g *Gateway) taskIDOf(r *http.Request) string {
	_, id, _ := g.routeOf(r.URL.Path)
	return id
}
