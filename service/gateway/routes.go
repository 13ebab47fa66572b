package gateway

import (
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// route is all that the gateway knows of a path of the contract's REST mapping.
type route struct {
	method string
	// path is that of the mapping: of a task, or with its {task_id} anywhere before a verb.
	path string
	// parameters are those that a query may have: see [parameters].
	parameters []string
	// handle answers a request that was checked. Nil: the handler that is generated from the contract.
	handle runtime.HandlerFunc
	// stream tells that the answer goes on until the client leaves.
	stream bool
}

// table returns the routes. One with a verb stands before one whose id could end with it.
func (g *Gateway) table() []route {
	return []route{
		{
			method: http.MethodGet, path: "/v1/tasks/{task_id}:watch", handle: g.watch, stream: true,
			parameters: []string{"failedTaskAsError", lastIDParameter, ticketParameter},
		},
		{method: http.MethodPost, path: "/v1/tasks/{task_id}:ticket", handle: g.ticket},
		{method: http.MethodGet, path: "/v1/tasks/{task_id}", parameters: []string{"failedTaskAsError", "maxAge"}},
	}
}

// match returns what stands for the id in a path of the route, which is not decoded.
func (r route) match(path string) (id string, ok bool) {
	prefix, verb, _ := strings.Cut(r.path, "{task_id}")
	id, ok = strings.CutPrefix(path, prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(id, verb)
}

// routeOf returns the route of a path, whatever the method is.
func (g *Gateway) routeOf(path string) (found route, id string, ok bool) {
	for _, r := range g.routes {
		if id, ok := r.match(path); ok {
			return r, id, true
		}
	}
	return route{}, "", false
}

// IsStream reports whether a request asks for an answer that goes on until the client leaves.
func (g *Gateway) IsStream(r *http.Request) bool {
	found, _, _ := g.routeOf(r.URL.EscapedPath())
	return found.stream
}
