package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// route is a path of the contract's REST mapping. All routes have the same checks; their order is in [Gateway.check].
type route struct {
	method string
	// path may have {task_id} as its last segment, optionally followed by a verb.
	path string
	// parameters are the allowed query parameters. A route with ticket takes a ticket for a credential.
	parameters []parameter
	// handle handles checked requests. Nil: grpc-gateway's generated handler does. It supports neither events nor the end
	// of a stream, and costs four times as much as get.
	handle runtime.HandlerFunc
	// checked is handle, or the generated handler, behind the checks.
	checked runtime.HandlerFunc
	// stream is set if the answer is a stream, which lasts until the watch ends or the client leaves.
	stream bool
	// waits is set if the answer comes when the client's wait is over, and is of no use once the client has left.
	waits bool
}

// tasksPath is the path before a task's id, and listPath that of several tasks, whose ids are in the query.
const (
	tasksPath = "/v1/tasks/"
	listPath  = "/v1/tasks"
)

// taskIDs returns the ids of a request's tasks: that in its path, or those in its query.
func (f route) taskIDs(r *http.Request, inPath string) []string {
	if strings.HasPrefix(f.path, tasksPath) {
		return []string{inPath}
	}
	return r.URL.Query()[taskIDs.name]
}

// table returns the routes. Those with a verb come first: an id could end like a verb.
func (g *Gateway) table() []route {
	return []route{
		{
			method: http.MethodGet, path: tasksPath + "{task_id}:watch", handle: g.watch, stream: true,
			parameters: []parameter{failedTaskAsError, lastID, ticket},
		},
		{
			method: http.MethodGet, path: tasksPath + "{task_id}:wait", waits: true,
			parameters: []parameter{failedTaskAsError, seconds("timeout")},
		},
		{method: http.MethodPost, path: tasksPath + "{task_id}:ticket", handle: g.ticket},
		{
			method: http.MethodGet, path: listPath + ":watch", handle: g.watchTasks, stream: true,
			parameters: []parameter{taskIDs, lastID, ticket},
		},
		{method: http.MethodPost, path: listPath + ":ticket", handle: g.ticketForTasks, parameters: []parameter{taskIDs}},
		{
			method: http.MethodGet, path: tasksPath + "{task_id}", handle: g.get,
			parameters: []parameter{failedTaskAsError, seconds("maxAge")},
		},
	}
}

// valid returns an error for a path that match does not understand: its requests would not be checked.
func (r route) valid() error {
	if strings.Contains(strings.Replace(r.path, "{task_id}", "", 1), "{") {
		return fmt.Errorf("%s: {task_id} is the only variable that a path may have", r.path)
	}
	return nil
}

// match returns the id in a path of the route. Neither is decoded.
func (r route) match(path string) (id string, ok bool) {
	prefix, verb, hasID := strings.Cut(r.path, "{task_id}")
	if !hasID {
		return "", path == r.path
	}
	id, ok = strings.CutPrefix(path, prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(id, verb)
}

// routeOf returns the route of a path and the id in it, whatever the method.
func (g *Gateway) routeOf(path string) (found route, id string, ok bool) {
	for _, r := range g.routes {
		if id, ok := r.match(path); ok {
			return r, id, true
		}
	}
	return route{}, "", false
}

// EndsWithClient reports whether a request is to be given up when its client closes its side of the connection: a watch
// or a wait, whose answer takes long. The answer of any other is sent nevertheless.
func (g *Gateway) EndsWithClient(r *http.Request) bool {
	found, _, _ := g.routeOf(r.URL.EscapedPath())
	return found.stream || found.waits
}
