package gateway_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/gateway"
	"github.com/kootask/kootask/service/message"
	"github.com/kootask/kootask/service/reason"
)

// scripted is a gRPC server whose streams all have these messages, and then this end.
type scripted struct {
	grpc.ClientConnInterface
	messages []*taskv1.WatchTasksResponse
	end      error
}

func (s scripted) Stream(_ context.Context, _ string, _ proto.Message, sink message.Sink) error {
	for _, m := range s.messages {
		if err := sink.Send(message.New(m)); err != nil {
			return err
		}
	}
	return s.end
}

// However a stream of the gRPC server ends: over HTTP it ends well only after a finished task, and otherwise with a reason
// of kootask in the caller's language, and nothing that gRPC's library says.
func TestEndsOfStreams(t *testing.T) {
	task := func(done bool) *taskv1.WatchTasksResponse {
		return &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Task{Task: &taskv1.Task{Done: done}}}
	}
	heartbeat := &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Heartbeat{Heartbeat: &taskv1.Heartbeat{}}}
	broken := status.Error(codes.Unavailable, "geheim")
	anybody, err := auth.New(auth.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		server scripted
		status int
		last   string // How the last line begins, of JSON lines.
		reason string // Stands in it.
	}{
		"finished":           {scripted{messages: []*taskv1.WatchTasksResponse{task(false), task(true)}}, 200, `{"end":{}}`, ""},
		"unfinished":         {scripted{messages: []*taskv1.WatchTasksResponse{task(false)}}, 200, `{"failure":`, "SERVER_ERROR"},
		"a heartbeat":        {scripted{messages: []*taskv1.WatchTasksResponse{heartbeat}}, 200, `{"failure":`, "SERVER_ERROR"},
		"nothing":            {scripted{}, 500, `{"code":13`, "SERVER_ERROR"},
		"broken":             {scripted{messages: []*taskv1.WatchTasksResponse{task(false)}, end: broken}, 200, `{"failure":`, "SERVER_DRAINING"},
		"broken from before": {scripted{end: broken}, 503, `{"code":14`, "SERVER_DRAINING"},
	} {
		handler, err := gateway.New(gateway.Config{
			CheckTaskID: func(string) error { return nil },
			Conn:        row.server, Auth: anybody, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/tasks/1:watch", nil)
		r.Header.Set("Authorization", "Bearer a")
		r.Header.Set("Language", reason.Chinese)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
		last := lines[len(lines)-1]
		if w.Code != row.status || !strings.HasPrefix(strings.ReplaceAll(last, " ", ""), row.last) ||
			!strings.Contains(last, row.reason) || !strings.Contains(last, reason.Catalogue()[reason.Chinese][row.reason]) || strings.Contains(last, "geheim") {
			t.Errorf("%s: HTTP %d, %q", name, w.Code, lines)
		}
	}
}
