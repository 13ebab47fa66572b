package gateway

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

// grpcTimeout is the form of a timeout of up to eight digits. One of nothing is none to grpc-gateway, and would be without an end.
var grpcTimeout = regexp.MustCompile(`^[0-9]*[1-9][0-9]*[HMSmun]$`)

const maxGRPCTimeout = 9

// checked wraps the handler of a task route: what is wrong with a request, and what the generated code or the way to the
// gRPC server would pass over or answer in words of their own, is refused before either sees it. Who makes the request is
// found out here, and handed on: no header of the request's goes any further.
func (g *gateway) checked(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		id, isTask := params["task_id"]
		if !isTask {
			next(w, r, params)
			return
		}
		if r.Method != allowedMethod(r) { // To the mux, GET of a:ticket is one of a task.
			g.handleRoutingError(r.Context(), g.mux, nil, w, r, http.StatusMethodNotAllowed)
			return
		}
		if finished(r) && checkQuery(r.URL.RawQuery, allowed(r.URL.EscapedPath())) == nil {
			// An event source that comes back after the end: 204 tells it to stay away.
			w.WriteHeader(http.StatusNoContent)
			return
		}
		who, err := g.admit(r, id)
		r = r.WithContext(caller.NewContext(r.Context(), who))
		if err != nil {
			g.refuse(w, r, reason.Of(err))
			return
		}
		md, done := g.handover.Give(who)
		defer done()
		r = r.WithContext(context.WithValue(r.Context(), handedKey{}, md))
		for _, name := range notForwarded {
			r.Header.Del(name)
		}
		r.Host = ""
		next(w, r, params)
	}
}

// notForwarded are headers that grpc-gateway would send on by itself.
var notForwarded = []string{caller.HeaderAuthorization, caller.HeaderForwardedFor, "X-Forwarded-Host"}

type handedKey struct{}

// handed is what stands for the caller of a request that was checked.
func handed(r *http.Request) metadata.MD {
	md, _ := r.Context().Value(handedKey{}).(metadata.MD)
	return md
}

// admit returns who makes a request for a task, or what is wrong with the request.
func (g *gateway) admit(r *http.Request, taskID string) (caller.Caller, error) {
	who, err := g.auth.Read(r)
	if r.ContentLength != 0 { // See noBody.
		return who, reason.Invalid(reason.RequestMalformed, "body", reason.Unsupported, "This route takes no body.")
	}
	if failure := checkQuery(r.URL.RawQuery, allowed(r.URL.EscapedPath())); failure != nil {
		return who, failure
	}
	if timeout := r.Header.Values("Grpc-Timeout"); len(timeout) > 1 {
		return who, reason.Invalid(reason.HeaderInvalid, "grpc-timeout", reason.Repeated, "Send only one value.")
	} else if len(timeout) == 1 && (len(timeout[0]) > maxGRPCTimeout || !grpcTimeout.MatchString(timeout[0])) {
		return who, reason.Invalid(reason.HeaderInvalid, "grpc-timeout", reason.Malformed, "Must be a gRPC timeout, like 5S.")
	}
	if !utf8.ValidString(taskID) {
		return who, reason.Invalid(reason.TaskIDInvalid, "taskId", reason.Malformed, "The task id is not UTF-8.")
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
