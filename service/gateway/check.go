package gateway

import (
	"errors"
	"net/http"
	"regexp"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

// grpcTimeout is the form of a timeout of up to eight digits. One of nothing is none to grpc-gateway, and would be without an end.
var grpcTimeout = regexp.MustCompile(`^[0-9]*[1-9][0-9]*[HMSmun]$`)

const maxGRPCTimeout = 9

// checked wraps the handler of a task route: an invalid request is refused before the generated code sees it, which would pass over
// mistakes or answer in words of its own. The caller is authenticated here, once, and goes on in the context.
func (g *Gateway) checked(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		id, isTask := params["task_id"]
		if !isTask {
			next(w, r, params)
			return
		}
		route, _, _ := g.routeOf(r.URL.EscapedPath())
		if r.Method != route.method { // To the mux, GET of a:ticket is one of a task.
			g.handleRoutingError(r.Context(), g.mux, nil, w, r, http.StatusMethodNotAllowed)
			return
		}
		if route.finished(r) && checkQuery(r.URL.RawQuery, route.parameters) == nil {
			// An event source that comes back after the end: 204 tells it to stay away.
			w.WriteHeader(http.StatusNoContent)
			return
		}
		who, err := g.check(r, route, id)
		r = r.WithContext(caller.NewContext(r.Context(), who))
		if err != nil {
			g.refuse(w, r, reason.Of(err))
			return
		}
		next(w, r, params)
	}
}

// check returns the caller of a request for a task, or what is wrong with the request.
func (g *Gateway) check(r *http.Request, route route, taskID string) (caller.Caller, error) {
	who, err := g.auth.Read(r)
	if r.ContentLength != 0 { // See noBody.
		return who, reason.Invalid(reason.RequestMalformed, "body", reason.Unsupported, "This route takes no body.")
	}
	if failure := checkQuery(r.URL.RawQuery, route.parameters); failure != nil {
		return who, failure
	}
	if timeout := r.Header.Values("Grpc-Timeout"); len(timeout) > 1 {
		return who, reason.Invalid(reason.HeaderInvalid, "grpc-timeout", reason.Repeated, "Send only one value.")
	} else if len(timeout) == 1 && (len(timeout[0]) > maxGRPCTimeout || !grpcTimeout.MatchString(timeout[0])) {
		return who, reason.Invalid(reason.HeaderInvalid, "grpc-timeout", reason.Malformed, "Must be a gRPC timeout, like 5S.")
	}
	if query := r.URL.Query(); query.Has(ticketParameter) {
		return g.auth.Redeem(r, query.Get(ticketParameter), taskID)
	}
	if err != nil {
		return who, err
	}
	return g.auth.Admit(r, who)
}

var errNoFinalTask = errors.New("the stream ended with OK before the final state")
