package gateway

import (
	"net/http"
	"net/url"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/jsonline"
)

// get answers with a task. It works like the generated handler for a checked request, without two parts that are never
// needed here: metadata in both directions, and reflection over the request.
func (g *Gateway) get(w http.ResponseWriter, r *http.Request, params map[string]string) {
	ctx, cancel, err := g.timed(r, taskv1.TaskService_GetTask_FullMethodName)
	defer cancel()
	if err != nil {
		g.handleError(ctx, g.mux, nil, w, r, err)
		return
	}
	response, err := g.tasks.GetTask(ctx, getRequest(params["task_id"], r.URL.RawQuery))
	if err != nil {
		g.handleError(ctx, g.mux, nil, w, r, err)
		return
	}
	body, err := jsonline.Marshal(jsonForm, response.GetTask())
	if err != nil {
		g.handleError(ctx, g.mux, nil, w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// getRequest returns the request with the parameters of a query that checkQuery has accepted.
func getRequest(taskID, query string) *taskv1.GetTaskRequest {
	request := &taskv1.GetTaskRequest{TaskId: taskID}
	if query == "" {
		return request
	}
	values, _ := url.ParseQuery(query)
	request.FailedTaskAsError = values.Get("failedTaskAsError") == "true"
	if maxAge, err := time.ParseDuration(values.Get("maxAge")); err == nil {
		request.MaxAge = durationpb.New(maxAge)
	}
	return request
}
