package gateway

import (
	"context"
	"net/http"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// finished reports whether a request comes from an event source that has received the finished task, by its
// Last-Event-ID or the parameter lastID.
func (f route) finished(r *http.Request) bool {
	return f.stream && (acceptsEvents(r) && r.Header.Get("Last-Event-ID") == lastEventID ||
		r.URL.Query().Get(lastID.name) == lastEventID)
}

// watch forwards a watch of a task.
func (g *Gateway) watch(w http.ResponseWriter, r *http.Request, params map[string]string) {
	g.stream(w, r, taskv1.TaskService_WatchTask_FullMethodName, 1, &taskv1.WatchTaskRequest{
		TaskId: params["task_id"], FailedTaskAsError: r.URL.Query().Get(failedTaskAsError.name) == "true",
	})
}

// watchTasks forwards a watch of several tasks.
func (g *Gateway) watchTasks(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	ids := r.URL.Query()[taskIDs.name]
	distinct := map[string]bool{}
	for _, id := range ids {
		distinct[id] = true
	}
	g.stream(w, r, taskv1.TaskService_WatchTasks_FullMethodName, len(distinct), &taskv1.WatchTasksRequest{TaskIds: ids})
}

// stream forwards a stream of a number of tasks as JSON lines or server-sent events. It writes nothing before the first
// message, so an error before that is an ordinary answer with its own HTTP status.
func (g *Gateway) stream(w http.ResponseWriter, r *http.Request, method string, tasks int, request proto.Message) {
	ctx, cancel, err := g.timed(r, method)
	defer cancel()
	out := newEventWriter(w, acceptsEvents(r), tasks)
	if err == nil {
		err = g.conn.Stream(ctx, method, request, out)
	}
	g.finish(ctx, out, r, err)
}

// finish writes the end of a stream.
func (g *Gateway) finish(ctx context.Context, out *eventWriter, r *http.Request, err error) {
	who := g.who(r)
	if err == nil && out.open > 0 {
		err = (&reason.Error{Outcome: reason.FacadeBug, Cause: errUnfinished}).Status(who.RequestID, who.Language).Err()
	}
	switch {
	case err == nil:
		_ = out.end()
	case !out.begun:
		g.handleError(ctx, g.mux, nil, out.w, r, err)
	default:
		_ = out.failure(reason.Complete(status.Convert(err), who.RequestID, who.Language))
	}
}
