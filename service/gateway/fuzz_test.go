package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/message"
)

// scripted is a connection to TaskService whose every watch is the same.
type scripted struct {
	messages []*taskv1.WatchTasksResponse
	end      error
	calls    int
}

func (s *scripted) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	s.calls++
	proto.Merge(reply.(proto.Message), &taskv1.GetTaskResponse{Task: &taskv1.Task{TaskId: "1"}})
	return nil
}

func (s *scripted) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("the gateway calls Stream")
}

func (s *scripted) Stream(_ context.Context, _ string, _ proto.Message, sink message.Sink) error {
	s.calls++
	for _, m := range s.messages {
		if err := sink.Send(message.New(m)); err != nil {
			return err
		}
	}
	return s.end
}

// anybody lets everybody call.
func anybody(t testing.TB) *auth.Authenticator {
	t.Helper()
	all, err := auth.New(auth.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fixture returns a gateway in front of the connection, and its log.
func fixture(f *testing.F, conn *scripted) (*Gateway, *bytes.Buffer) {
	f.Helper()
	var log bytes.Buffer
	handler, err := New(Config{Conn: conn, Auth: anybody(f), Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		f.Fatal(err)
	}
	return handler, &log
}

// get asks for a path with some headers.
func get(handler http.Handler, path, query string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	r.URL.RawQuery = query
	r.Header.Set("Authorization", "Bearer token")
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

var accept = http.Header{"Accept": {eventStream}}

// Exactly one value of Last-Event-ID is understood: an event source that has seen the end gets an answer that keeps it away, and
// no call is made. With any other value a watch is the same as without one, and the value is nowhere.
func FuzzLastEventID(f *testing.F) {
	for _, id := range append([]string{
		"end", "END", "End", " end", "end ", "end\n", "end\x00", "\"end\"", "end,end", "en", "ends", "ｅｎｄ", "0", "-1", "1534087020903704704", "*", "null", "..", "%65nd",
	}, hostileTexts...) {
		f.Add(id, uint16(0), true)
	}
	f.Add("end", uint16(0), false)
	f.Add("end", uint16(1), true)
	f.Add(strings.Repeat("x", 64), uint16(1<<8-64), true)
	conn := &scripted{messages: []*taskv1.WatchTasksResponse{kinds[0]("x"), kinds[3]("x")}}
	handler, log := fixture(f, conn)
	plain := map[bool]*httptest.ResponseRecorder{
		false: get(handler, "/v1/tasks/1:watch", "", nil), true: get(handler, "/v1/tasks/1:watch", "", accept),
	}
	f.Fuzz(func(t *testing.T, id string, more uint16, events bool) {
		id = strings.Repeat(id, min(int(more), (1<<20)/(len(id)+1))+1) // Up to 1 MiB.
		if len(id) > caller.MaxHeader-1000 {
			return // Too long for a header.
		}
		header := http.Header{"Last-Event-Id": {id}}
		if events {
			header["Accept"] = accept["Accept"]
		}
		conn.calls = 0
		w := get(handler, "/v1/tasks/1:watch", "", header)
		if log.Len() > 0 {
			t.Errorf("%s is logged", log)
		}
		if events && id == "end" {
			if w.Code != http.StatusNoContent || w.Body.Len() > 0 || conn.calls != 0 {
				t.Errorf("the end: %d %q, %d calls", w.Code, w.Body, conn.calls)
			}
			return
		}
		w.Header().Del("X-Request-Id")
		want := plain[events]
		want.Header().Del("X-Request-Id")
		if w.Code != http.StatusOK || conn.calls != 1 || w.Body.String() != want.Body.String() || cmp.Diff(want.Header(), w.Header()) != "" {
			t.Errorf("%q: %d %v %q, %d calls", id, w.Code, w.Header(), w.Body, conn.calls)
		}
	})
}

// A query is accepted if it has nothing but the parameters of its route, once and in their form; then the call is made, and
// only then. A refused name or value is neither sent back nor logged.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{
		"", "&", "&&", "=", "maxAge=2.5s", "maxAge=0s", "maxAge=999999999.999999999s", "maxAge=9999999999s", "maxAge=-1s", "maxAge=2.s", "maxAge=.5s", "maxAge=1", "maxAge=",
		"maxAge", "maxAge=1s%0a", "maxAge=1s\n", "maxAge=%31s", "m%61xAge=1s", "maxage=1s", "max_age=1s", "maxAge=1s&maxAge=1s", "maxAge=1s&m%61xAge=1s", "maxAge=1e3s", "maxAge=1+s",
		"maxAge=1s;failedTaskAsError=true", "maxAge=١s", "failedTaskAsError=true", "failedTaskAsError=false&maxAge=1s", "failedTaskAsError=TRUE", "failedTaskAsError=1",
		"failed_task_as_error=true", "lastEventId=end", "lastEventId=", "lastEventId=7", "ticket=a_-", "ticket=%20", "access_token=x", "token=Bearer+x", "authorization=x", "%zz", "a=%zz", "%ff=1", "maxAge=%ff", "\x00", "taskId=2", "task_id=2",
	} {
		f.Add(query, false)
		f.Add(query, true)
	}
	conn := &scripted{messages: []*taskv1.WatchTasksResponse{kinds[3]("x")}}
	handler, log := fixture(f, conn)
	f.Fuzz(func(t *testing.T, query string, watch bool) {
		path := "/v1/tasks/1"
		if watch {
			path += ":watch"
		}
		route, _, _ := handler.routeOf(path)
		var allowed []string
		for _, p := range route.parameters {
			allowed = append(allowed, p.name)
		}
		fits := fitting(query, allowed)
		failure := checkQuery(query, route.parameters)
		if fits != (failure == nil) {
			t.Errorf("%q fits: %v, but %v", query, fits, failure)
		}
		if values, _ := url.ParseQuery(query); values.Has(ticket.name) || values.Get(lastID.name) == lastEventID {
			return // A ticket is judged first, and after the end there is no call.
		}
		conn.calls = 0
		w := get(handler, path, query, nil)
		if fits != (w.Code == http.StatusOK) || fits != (conn.calls == 1) || !fits && w.Code != http.StatusBadRequest {
			t.Errorf("%q fits: %v, but %d and %d calls", query, fits, w.Code, conn.calls)
		}
		if failure != nil {
			for _, v := range failure.Violations {
				if !slices.Contains(append([]string{"query"}, allowed...), v.Field) || !queryDescriptions.MatchString(v.Description) {
					t.Errorf("%q: violation %+v", query, v)
				}
			}
			if failure.Cause != nil || failure.Metadata != nil || len(failure.Violations) > 3 {
				t.Errorf("%q: %+v", query, failure)
			}
		}
		// Wherever a secret is in it.
		for _, query := range []string{query + secret, secret + query, query + "=" + secret, query + "&" + secret + "=1"} {
			log.Reset()
			w := get(handler, path, query, nil)
			if w.Code == http.StatusOK || strings.Contains(w.Body.String(), secret) || strings.Contains(log.String(), secret) || strings.Contains(log.String(), "Bearer") {
				t.Errorf("%q: %d %q, logged %q", query, w.Code, w.Body, log)
			}
		}
	})
}

var queryDescriptions = regexp.MustCompile(`^(The query must be percent-encoded|Send only one value|Must be .*|` +
	`Unknown parameter( [a-z][A-Za-z_]{0,23})?\.( It is called (maxAge|failedTaskAsError) here\.)? Known parameters: .* headers)\.$`)

// fitting reads a query by hand.
func fitting(query string, allowed []string) bool {
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err != nil || err2 != nil || strings.Contains(pair, ";") || !slices.Contains(allowed, name) || seen[name] {
			return false
		}
		seen[name] = true
		if name == "failedTaskAsError" && value != "true" && value != "false" {
			return false
		}
		if name == "lastEventId" && value != "end" && value != "" {
			return false
		}
		if name == "ticket" && strings.Trim(value, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-") != "" {
			return false
		}
		if name == "maxAge" {
			_, err := time.ParseDuration(value)
			number, isSeconds := strings.CutSuffix(value, "s")
			whole, fraction, hasPoint := strings.Cut(number, ".")
			if err != nil || !isSeconds || whole == "" || hasPoint && fraction == "" || len(whole) > 9 || len(fraction) > 9 ||
				strings.Trim(whole+fraction, "0123456789") != "" {
				return false
			}
		}
	}
	return true
}
