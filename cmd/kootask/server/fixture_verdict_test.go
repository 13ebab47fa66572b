package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// doors are all ways to ask for a task: unary and as a stream, over gRPC and over HTTP. At getDoors, a call is a GetTask.
var (
	grpcDoors = []string{"grpc get", "grpc operation", "grpc watch", "grpc wait", "grpc wait operation"}
	httpDoors = []string{"rest", "rest wait", ndjson, sse}
	doors     = slices.Concat(grpcDoors, httpDoors)
	getDoors  = []string{"grpc get", "grpc operation", "rest"}

	// listDoors are for lists of tasks, here of one. They decide about callers as the others do, and otherwise about tasks.
	listDoors   = []string{"grpc tasks", "tasks " + ndjson, "tasks " + sse}
	callerDoors = slices.Concat(doors, listDoors)
)

// pathAt returns the path and the query of a task at a door of HTTP.
func pathAt(door, id, query string) string {
	query = strings.TrimPrefix(query, "?")
	if strings.HasPrefix(door, "tasks ") {
		return "/v1/tasks:watch?" + strings.TrimSuffix("taskIds="+id+"&"+query, "&")
	}
	path := "/v1/tasks/" + id + map[string]string{"rest wait": ":wait", ndjson: ":watch", sse: ":watch"}[door]
	return strings.TrimSuffix(path+"?"+query, "?")
}

// accepted returns what a request at a door of HTTP accepts; empty without a choice.
func accepted(door string) string {
	if accept := strings.TrimPrefix(door, "tasks "); slices.Contains(surfaces, accept) {
		return accept
	}
	return ""
}

// verdict is the failure of a call, at any of the doors.
type verdict struct {
	code       codes.Code
	reason     string
	http       int // 0 over gRPC.
	metadata   map[string]string
	violations []string // "field REASON"
	retry      *errdetails.RetryInfo
	requestID  string
	language   string // Of the localized message; empty without one.
	header     http.Header
	trailer    metadata.MD
	everything string // Everything that the caller received.
}

// call is a request of a test, for any of the doors.
type call struct {
	id      string
	query   string   // For HTTP.
	header  []string // Names and values; no authorization is added.
	maxAge  func(*taskv1.GetTaskRequest)
	asError bool
}

// fail makes a call that must fail.
func (s *system) fail(ctx context.Context, t *testing.T, door string, c call) verdict {
	t.Helper()
	if strings.HasPrefix(door, "grpc ") {
		return s.failGRPC(metadata.NewOutgoingContext(ctx, metadata.Pairs(c.header...)), t, door, c)
	}
	if c.asError {
		c.query = "failedTaskAsError=true"
	}
	r := request(ctx, t, pathAt(door, c.id, c.query), c.header...)
	r.Header.Del("Authorization")
	for i := 0; i < len(c.header); i += 2 {
		if c.header[i] == "authorization" {
			r.Header.Add("Authorization", c.header[i+1])
		}
	}
	if accept := accepted(door); accept != "" {
		r.Header.Set("Accept", accept)
	}
	resp, body := s.get(t, r)
	v := read(t, parseStatus(t, body))
	v.http, v.header, v.everything = resp.StatusCode, resp.Header, body
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		v.everything += name + resp.Header.Get(name)
	}
	if retry := resp.Header.Get("Retry-After"); (retry != "") != (v.retry != nil) {
		t.Errorf("%s: Retry-After %q with RetryInfo %v", door, retry, v.retry)
	} else if seconds, _ := strconv.ParseFloat(retry, 64); v.retry != nil && (seconds < v.retry.GetRetryDelay().AsDuration().Seconds() ||
		seconds >= v.retry.GetRetryDelay().AsDuration().Seconds()+1) {
		t.Errorf("%s: Retry-After %q with RetryInfo %v", door, retry, v.retry)
	}
	if got := resp.Header.Get("X-Request-Id"); got != v.requestID {
		t.Errorf("%s: header has request id %q, RequestInfo %q", door, got, v.requestID)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type %q", door, got)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control %q", door, got)
	}
	return v
}

// parseStatus reads the JSON of an error.
func parseStatus(t *testing.T, body string) *status.Status {
	t.Helper()
	st := &spb.Status{}
	if err := protojson.Unmarshal([]byte(body), st); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	return status.FromProto(st)
}

func (s *system) failGRPC(ctx context.Context, t *testing.T, door string, c call) verdict {
	t.Helper()
	var header, trailer metadata.MD
	var err error
	switch door {
	case "grpc get":
		req := &taskv1.GetTaskRequest{TaskId: c.id, FailedTaskAsError: c.asError}
		if c.maxAge != nil {
			c.maxAge(req)
		}
		_, err = s.tasks.GetTask(ctx, req, grpc.Header(&header), grpc.Trailer(&trailer))
	case "grpc wait":
		req := &taskv1.WaitTaskRequest{TaskId: c.id, FailedTaskAsError: c.asError}
		_, err = s.tasks.WaitTask(ctx, req, grpc.Header(&header), grpc.Trailer(&trailer))
	case "grpc tasks":
		var stream grpc.ServerStreamingClient[taskv1.WatchTasksResponse]
		if stream, err = s.tasks.WatchTasks(ctx, &taskv1.WatchTasksRequest{TaskIds: []string{c.id}}); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		header, _ = stream.Header()
		trailer = stream.Trailer()
	case "grpc operation":
		_, err = s.operations().GetOperation(ctx, operationOf(c.id), grpc.Header(&header), grpc.Trailer(&trailer))
	case "grpc wait operation":
		req := &longrunningpb.WaitOperationRequest{Name: operationOf(c.id).GetName()}
		_, err = s.operations().WaitOperation(ctx, req, grpc.Header(&header), grpc.Trailer(&trailer))
	default:
		var stream grpc.ServerStreamingClient[taskv1.WatchTaskResponse]
		if stream, err = s.tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: c.id, FailedTaskAsError: c.asError}); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		header, _ = stream.Header()
		trailer = stream.Trailer()
	}
	if err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("%s: the call succeeded", door)
	}
	v := read(t, status.Convert(err))
	v.trailer = trailer
	text, _ := protojson.Marshal(status.Convert(err).Proto())
	v.everything = string(text)
	all := metadata.Join(header, trailer)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		v.everything += name + all[name][0]
	}
	return v
}

// read parses a status, and checks the promises of every status.
func read(t *testing.T, st *status.Status) verdict {
	t.Helper()
	v := verdict{code: st.Code()}
	text := ""
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() != "koodrive.task.v1" || v.reason != "" {
				t.Errorf("ErrorInfo %v", d)
			}
			v.reason, v.metadata = d.GetReason(), d.GetMetadata()
		case *errdetails.RequestInfo:
			v.requestID = d.GetRequestId()
		case *errdetails.RetryInfo:
			v.retry = d
		case *errdetails.BadRequest:
			for _, f := range d.GetFieldViolations() {
				v.violations = append(v.violations, f.GetField()+" "+f.GetReason())
			}
		case *errdetails.LocalizedMessage:
			v.language, text = d.GetLocale(), d.GetMessage()
		default:
			t.Errorf("detail %v", d)
		}
	}
	if v.reason == "" || v.requestID == "" {
		t.Errorf("status %v has no reason or no request id", st)
	}
	if _, known := taskv1.ErrorReason_value[v.reason]; !known {
		t.Errorf("reason %q is not in the contract", v.reason)
	}
	if all := reason.Catalogue(); st.Message() != all[reason.English][v.reason] || text != all[v.language][v.reason] {
		t.Errorf("%s says %q, and in %q %q", v.reason, st.Message(), v.language, text)
	}
	if len(st.Message()) > 512 {
		t.Errorf("a message of %d bytes", len(st.Message()))
	}
	if raw, _ := json.Marshal(st.Proto()); len(raw) > reason.MaxStatus {
		t.Errorf("a status of %d bytes", len(raw))
	}
	return v
}

// verdictOf reads the last event of a stream that failed.
func verdictOf(t *testing.T, e event) verdict {
	t.Helper()
	if e.err != nil {
		return read(t, status.Convert(e.err))
	}
	return read(t, parseStatus(t, e.data))
}
