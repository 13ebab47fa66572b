package gateway

import (
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
)

// A row without a handler gets the generated one, behind the same checks: a GET of a task is answered alike by it and by get.
func TestRowsWithoutHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want, got := &asked{}, &asked{}
		config := Config{Conn: want, Auth: anybody(t), Log: slog.New(slog.DiscardHandler)}
		written, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		config.Conn = got
		generated, err := withTable(config, func(g *Gateway) []route {
			rows := g.table()
			for i := range rows {
				if rows[i].path == tasksPath+"{task_id}" {
					rows[i].handle = nil
				}
			}
			return rows
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			path, query string
			header      http.Header
			code        int
		}{
			{"/v1/tasks/1", "", nil, 200},
			{"/v1/tasks/%31", "", nil, 200},
			{"/v1/tasks/1", "maxAge=2.5s&failedTaskAsError=true", nil, 200},
			{"/v1/tasks/1", "", http.Header{"Grpc-Timeout": {"60S"}}, 200},
			{"/v1/tasks/1", "", http.Header{"Grpc-Timeout": {"60s"}}, 400},
			{"/v1/tasks/1", "max_age=2.5s", nil, 400},
			{"/v1/tasks/1", "ticket=x", nil, 400},
			{"/v1/tasks/1", "", http.Header{"X-User-Id": {"a b"}}, 400},
			{"/v1/tasks/1/2", "", nil, 404},
		} {
			header := http.Header{"X-Request-Id": {"id"}}
			for name, values := range row.header {
				header[name] = values
			}
			a, b := get(written, row.path, row.query, header), get(generated, row.path, row.query, header)
			if a.Code != row.code || b.Code != row.code || a.Body.String() != b.Body.String() {
				t.Errorf("%s?%s: %d %s, and from the generated handler %d %s", row.path, row.query, a.Code, a.Body, b.Code, b.Body)
			}
			if diff := cmp.Diff(a.Header(), b.Header()); diff != "" {
				t.Errorf("%s?%s: the generated handler's header (+):\n%s", row.path, row.query, diff)
			}
			if diff := cmp.Diff(want.request, got.request, protocmp.Transform()); diff != "" || want.within != got.within {
				t.Errorf("%s?%s: the generated handler's request (+):\n%s", row.path, row.query, diff)
			}
		}
	})
}

// A row without a handler is reached as well if it is a GET with a verb, whose path looks like that of a task to the mux.
func TestRowsWithVerbsAndWithoutHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := &asked{}
		g, err := withTable(Config{Conn: asked, Auth: anybody(t), Log: slog.New(slog.DiscardHandler)}, func(*Gateway) []route {
			return []route{
				{method: http.MethodGet, path: tasksPath + "{task_id}:history"},
				{method: http.MethodGet, path: tasksPath + "{task_id}", handle: func(http.ResponseWriter, *http.Request, map[string]string) {
					t.Error("the row of a task got the request")
				}},
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		// The generated handlers have no such route either, and take it for a task's: so the call shows that they were reached.
		if _ = get(g, "/v1/tasks/1:history", "", http.Header{"X-Request-Id": {"id"}}); asked.request == nil {
			t.Error("the generated handler was not reached")
		}
	})
}

// A path with a variable that the checks do not know would be served without them.
func TestOtherVariablesAreRefused(t *testing.T) {
	config := Config{Conn: &asked{}, Auth: anybody(t), Log: slog.New(slog.DiscardHandler)}
	if _, err := withTable(config, func(*Gateway) []route { return []route{{method: http.MethodGet, path: "/v1/users/{user_id}"}} }); err == nil {
		t.Error("no error")
	}
}

// A path with an id matches whatever the id is, and one without an id matches itself only.
func TestPathsOfRows(t *testing.T) {
	for _, row := range []struct {
		of, path, id string
		ok           bool
	}{
		{"/v1/tasks/{task_id}", "/v1/tasks/1", "1", true},
		{"/v1/tasks/{task_id}:watch", "/v1/tasks/1:watch", "1", true},
		{"/v1/tasks/{task_id}:watch", "/v1/tasks/1", "1", false},
		{"/v1/tasks", "/v1/tasks", "", true},
		{"/v1/tasks", "/v1/tasks/1", "", false},
		{"/v1/tasks", "/v1", "", false},
	} {
		if id, ok := (route{path: row.of}).match(row.path); ok != row.ok || id != row.id {
			t.Errorf("%s in %s: %q, %v", row.path, row.of, id, ok)
		}
	}
}
