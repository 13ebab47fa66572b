package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/kootask/kootask/internal/ascii"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

const (
	grpcTimeoutHeader = "Grpc-Timeout"
	maxGRPCTimeout    = 9
)

// isGRPCTimeout reports whether a text is a number above 0 with a unit of gRPC. grpc-gateway takes a timeout of 0 for no
// timeout, and the call would not end.
func isGRPCTimeout(text string) bool {
	number := strings.TrimRight(text, "HMSmun")
	return len(number) == len(text)-1 && ascii.Digits(number) && strings.Trim(number, "0") != ""
}

// checked wraps the handler of a route. It refuses invalid requests before the generated code, which ignores some
// mistakes and answers others in its own words. It authenticates the caller and adds it to the context.
func (g *Gateway) checked(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if r = g.vet(w, r, params["task_id"]); r != nil {
			next(w, r, params)
		}
	}
}

// vet returns the request of a route with its caller, or answers it and returns nil. It returns a request for a page or a
// file as it is. Its frame is not part of the stack on which a stream waits.
func (g *Gateway) vet(w http.ResponseWriter, r *http.Request, id string) *http.Request {
	route, _, ok := g.routeOf(r.URL.EscapedPath())
	if !ok {
		return r
	}
	if r.Method != route.method { // The mux takes GET of a:ticket for GET of a task.
		g.handleRoutingError(r.Context(), g.mux, nil, w, r, http.StatusMethodNotAllowed)
		return nil
	}
	if route.finished(r) && checkQuery(r.URL.RawQuery, route.parameters) == nil {
		// The event source reconnects after the end: 204 makes it stop.
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	who, err := g.check(r, route, id)
	*r = *r.WithContext(caller.NewContext(r.Context(), &who)) // A stream would keep the copy for its lifetime.
	if err != nil {
		g.refuse(w, r, reason.Of(err))
		return nil
	}
	return r
}

// timed returns the context of a call, with the time limit of the request's Grpc-Timeout if it has one.
func (g *Gateway) timed(r *http.Request, method string) (context.Context, context.CancelFunc, error) {
	if r.Header.Get(grpcTimeoutHeader) == "" {
		return r.Context(), func() {}, nil
	}
	limited, cancel := context.WithCancel(r.Context()) // AnnotateContext keeps the end of its own to itself.
	ctx, err := runtime.AnnotateContext(limited, g.mux, r, method)
	return ctx, cancel, err
}

// check authenticates the caller of a request, which must have no body, only parameters of its route, each in its form,
// and at most one Grpc-Timeout. An invalid request fails before an unauthenticated one.
func (g *Gateway) check(r *http.Request, route route, taskID string) (caller.Caller, error) {
	who, err := g.auth.Read(r)
	if r.ContentLength != 0 { // See noBody.
		return who, reason.Invalid(reason.RequestMalformed, "body", reason.Unsupported, "This route takes no body.")
	}
	if failure := checkQuery(r.URL.RawQuery, route.parameters); failure != nil {
		return who, failure
	}
	if timeout := r.Header.Values(grpcTimeoutHeader); len(timeout) > 1 {
		return who, reason.Invalid(reason.HeaderInvalid, "grpc-timeout", reason.Repeated, "Send only one value.")
	} else if len(timeout) == 1 && (len(timeout[0]) > maxGRPCTimeout || !isGRPCTimeout(timeout[0])) {
		return who, reason.Invalid(reason.HeaderInvalid, "grpc-timeout", reason.Malformed, "Must be a gRPC timeout, like 5S.")
	}
	if r.URL.RawQuery != "" {
		if query := r.URL.Query(); query.Has(ticket.name) {
			return g.auth.Redeem(r, query.Get(ticket.name), route.taskIDs(r, taskID))
		}
	}
	if err != nil {
		return who, err
	}
	return g.auth.Admit(r, who)
}

var errUnfinished = errors.New("the stream ended with OK before each task had ended")
