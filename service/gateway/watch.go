package gateway

import (
	"context"
	"net/http"

	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// finished reports whether a request comes from an event source that has received the finished task, by its
// Last-Event-ID or the parameter lastID.
func (f route) finished(r *http.Request) bool {
	return f.stream && (acceptsEvents(r) && r.Header.Get("Last-Event-ID") == lastEventID ||
		r.URL.Query().Get(lastID.name) == lastEventID)
}

// watch forwards a stream as JSON lines or server-sent events. It writes nothing before the first message, so an error
// before that is an ordinary answer with its own HTTP status.
func (g *Gateway) watch(w http.ResponseWriter, r *http.Request, params map[string]string) {
	ctx, cancel, err := g.timed(r, taskv1.TaskService_WatchTask_FullMethodName)
	defer cancel()
	out := newEventWriter(w, acceptsEvents(r))
	if err == nil {
		err = g.conn.Stream(ctx, taskv1.TaskService_WatchTask_FullMethodName, watchRequest(r, params), out)
	}
	g.finish(ctx, out, r, err)
}

func watchRequest(r *http.Request, params map[string]string) *taskv1.WatchTaskRequest {
	return &taskv1.WatchTaskRequest{
		TaskId: params["task_id"], FailedTaskAsError: r.URL.Query().Get("failedTaskAsError") == "true",
	}
}

// finish writes the end of a stream.
func (g *Gateway) finish(ctx context.Context, out *eventWriter, r *http.Request, err error) {
	who := g.who(r)
	if err == nil && !out.finished {
		err = (&reason.Error{Outcome: reason.FacadeBug, Cause: errNoFinalTask}).Status(who.RequestID, who.Language).Err()
	}
	switch {
	case err == nil:
		_ = out.end()
	case !out.opened:
		g.handleError(ctx, g.mux, nil, out.w, r, err)
	default:
		_ = out.failure(reason.Complete(status.Convert(err), who.RequestID, who.Language))
	}
}
