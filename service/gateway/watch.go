package gateway

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// finished reports whether a request comes from an event source that has received the finished task, by its
// Last-Event-ID or lastIDParameter.
func (f route) finished(r *http.Request) bool {
	return f.stream && (acceptsEvents(r) && r.Header.Get("Last-Event-ID") == lastEventID ||
		r.URL.Query().Get(lastIDParameter) == lastEventID)
}

// watch forwards a stream as JSON lines or server-sent events. It writes nothing before the first message, so an error
// before that is an ordinary answer with its own HTTP status.
func (g *Gateway) watch(w http.ResponseWriter, r *http.Request, params map[string]string) {
	events := acceptsEvents(r)
	ctx, err := runtime.AnnotateContext(r.Context(), g.mux, r, taskv1.TaskService_WatchTask_FullMethodName)
	if err != nil {
		g.handleError(ctx, g.mux, nil, w, r, err)
		return
	}
	stream, err := g.tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{
		TaskId: params["task_id"], FailedTaskAsError: r.URL.Query().Get("failedTaskAsError") == "true",
	})
	if err != nil {
		g.handleError(ctx, g.mux, nil, w, r, err)
		return
	}
	out, who := newEventWriter(w, events), g.who(r)
	finished := false
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) && finished {
			_ = out.end()
			return
		}
		if errors.Is(err, io.EOF) {
			err = (&reason.Error{Outcome: reason.FacadeBug, Cause: errNoFinalTask}).Status(who.RequestID, who.Language).Err()
		}
		if err != nil {
			if !out.opened {
				g.handleError(ctx, g.mux, nil, w, r, err)
				return
			}
			_ = out.failure(reason.Complete(status.Convert(err), who.RequestID, who.Language))
			return
		}
		finished = message.GetTask().GetDone()
		if err := out.message(message); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				g.tooSlow(r)
			}
			return // On any other error the client has left.
		}
	}
}

// tooSlow counts and logs a stream that was cut. TaskService sees its client leave.
func (g *Gateway) tooSlow(r *http.Request) {
	g.slow.Inc()
	who := g.who(r)
	g.log.LogAttrs(r.Context(), slog.LevelWarn, "stream cut", append(who.LogAttrs(g.taskIDOf(r)),
		slog.String("outcome", reason.WatcherTooSlow.Name))...)
}
