package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
)

// longestList returns the longest list of the longest ids.
func longestList() (ids []string) {
	for i := range 100 {
		ids = append(ids, fmt.Sprintf("%064d", i))
	}
	return ids
}

// watchList watches several tasks through a way. An event source, which can send no credential, has a ticket in its URL.
func (e *edge) watchList(ctx context.Context, t *testing.T, w way, ids []string) next {
	t.Helper()
	if w.accept == "" {
		stream, err := e.tasks.WatchTasks(as(ctx, w.name), &taskv1.WatchTasksRequest{TaskIds: ids})
		if err != nil {
			t.Fatal(err)
		}
		return messages(stream)
	}
	query := url.Values{"taskIds": ids}
	if w.accept == sse {
		query.Set("ticket", e.ticket(ctx, t, w, query))
	}
	next, err := e.stream(ctx, w, "/v1/tasks:watch?"+query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// ticket returns a ticket for a watch of several tasks.
func (e *edge) ticket(ctx context.Context, t *testing.T, w way, query url.Values) string {
	t.Helper()
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, e.url(w)+"/v1/tasks:ticket?"+query.Encode(), http.NoBody)
	r.Header.Set("Authorization", "Bearer "+demoToken)
	resp, err := client(w.http2).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct{ Ticket string }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	return body.Ticket
}

// The longest list passes, on each way: to kootask alone, through our configuration, and with nginx's own limit for a line of a
// request.
func TestNginxPassesLists(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string][]string{
		"ours": nil, "nginx's own limit": {"large_client_header_buffers 4 16k;", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, "", changes...)
			ctx, ids := within(t), longestList()
			for _, id := range ids {
				e.set(t, id, "EXECUTING")
			}
			var all []next
			for _, e := range []*edge{e, e.alone(t)} {
				for _, w := range overAll {
					next := e.watchList(ctx, t, w, ids)
					for range ids {
						next.wants(t, "task EXECUTING")
					}
					all = append(all, next)
				}
			}
			for _, id := range ids {
				e.set(t, id, "SUCCESS")
			}
			for _, next := range all {
				for range ids {
					next.wants(t, "task SUCCESS")
				}
				next.wants(t, "end")
				next.over(t, true)
			}
		})
	}
}

// A wait is answered through nginx when it is over, and not before.
func TestNginxWaits(t *testing.T) {
	t.Parallel()
	const wait = 3 * time.Second
	e := newEdge(t, "")
	e.set(t, "unfinished", "EXECUTING")
	var all sync.WaitGroup
	for name, call := range map[string]func() (*taskv1.Task, error){
		"gRPC": func() (*taskv1.Task, error) {
			answer, err := e.tasks.WaitTask(as(within(t), "grpc"), &taskv1.WaitTaskRequest{TaskId: "unfinished", Timeout: durationpb.New(wait)})
			return answer.GetTask(), err
		},
		"REST": func() (*taskv1.Task, error) {
			header := http.Header{"X-Request-Id": {"rest"}}
			status, body := e.get(t, fmt.Sprintf("/v1/tasks/unfinished:wait?timeout=%gs", wait.Seconds()), demoToken, header)
			if status != http.StatusOK {
				return nil, fmt.Errorf("%d %s", status, body)
			}
			task := &taskv1.Task{}
			return task, protojson.Unmarshal([]byte(strings.TrimPrefix(body, "rest")), task)
		},
	} {
		all.Go(func() {
			began := time.Now()
			task, err := call()
			if took := time.Since(began); err != nil || task.GetTaskId() != "unfinished" || task.GetDone() || took < wait {
				t.Errorf("%s: %v, %v after %v", name, task, err, took)
			}
		})
	}
	all.Wait()
}

// No proxy in deploy ends the longest wait.
func TestProxiesOutlastWaits(t *testing.T) {
	files, err := filepath.Glob(root + "/deploy/*")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^\s*(\w+_read_timeout)\s+(\w+);`).FindAllStringSubmatch(string(text), -1) {
			all = append(all, m[1])
			if limit, err := time.ParseDuration(m[2]); err != nil || limit <= service.MaxWait {
				t.Errorf("%s: %s is %s: set it to more than %v, the longest wait", file, m[1], m[2], service.MaxWait)
			}
		}
	}
	if len(all) < 2 {
		t.Errorf("of the read timeouts of gRPC and HTTP, only %q were found in %q", all, files)
	}
}
