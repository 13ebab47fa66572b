package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// within limits a test whose reads last as long as the stream is open.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// ignoring has nginx ignore a header field of kootask's answers.
func ignoring(fields string) []string {
	return []string{"\nhttp {", "\nhttp { proxy_ignore_headers " + fields + ";"}
}

// Each event arrives before the next change is made, even with nginx's defaults, since kootask disables buffering.
func TestNginxDelivers(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		conf    string
		changes []string
		ways    []way
	}{
		"ours":       {"", nil, overAll},
		"ours, deaf": {"", ignoring("X-Accel-Buffering"), overAll},
		"nginx's":    {nginxDefault, nil, overHTTP},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, row.conf, row.changes...)
			ctx := within(t)
			for _, w := range row.ways {
				e.set(t, w.name, "NEW")
				next := e.mustWatch(ctx, t, w)
				next.wants(t, "task NEW")
				e.set(t, w.name, "EXECUTING")
				next.wants(t, "task EXECUTING")
				e.set(t, w.name, "SUCCESS")
				next.wants(t, "task SUCCESS")
				next.wants(t, "end")
				next.over(t, true)
			}
		})
	}
}

// With nginx's defaults and without X-Accel-Buffering, nothing arrives during many polls; everything arrives with the end.
func TestNginxDefaultWithholds(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nginxDefault, ignoring("X-Accel-Buffering")...)
	ctx := within(t)
	for _, w := range overHTTP {
		e.set(t, w.name, "EXECUTING")
		story := make(chan string, 10)
		go func() {
			defer close(story)
			next, err := e.watch(ctx, w)
			for err == nil {
				var event string
				if event, err = next(); err == nil {
					story <- event
				}
			}
		}()
		await(t, e.kootask.ended, func() bool { return e.asked(t, w.name) >= 5 })
		if n := len(story); n > 0 {
			t.Errorf("%s: %d events have come", w.name, n)
		}
		e.set(t, w.name, "SUCCESS")
		var all []string
		for event := range story {
			all = append(all, event)
		}
		if got := strings.Join(all, ", "); got != "task EXECUTING, task SUCCESS, end" {
			t.Errorf("%s: %s", w.name, got)
		}
	}
}

// kootask dies in the middle of a watch. Behind our configuration the client sees a broken stream. Behind nginx's default one the
// stream seems to end well, and gRPC is not served at all.
func TestNginxBrokenStream(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		conf string
		ways []way
		well bool
	}{
		"ours":    {"", overAll, false},
		"nginx's": {nginxDefault, overHTTP, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, row.conf)
			ctx := within(t)
			var all []next
			for _, w := range row.ways {
				e.set(t, w.name, "NEW")
				next := e.mustWatch(ctx, t, w)
				next.wants(t, "task NEW")
				all = append(all, next)
			}
			_, err := e.tasks.GetTask(as(ctx, "get"), &taskv1.GetTaskRequest{TaskId: finishedID})
			if served := err == nil; served == row.well {
				t.Errorf("over gRPC: %v", err)
			}
			e.kootask.signal(t, os.Kill)
			for _, next := range all {
				next.over(t, row.well)
			}
			_, err = e.tasks.GetTask(as(ctx, "get"), &taskv1.GetTaskRequest{TaskId: finishedID})
			if status.Code(err) != codes.Unavailable {
				t.Errorf("over gRPC, when kootask is gone: %v", err)
			}
		})
	}
}

// A client that leaves is noticed: its call ends, and so do the polls for it.
func TestNginxClientLeaves(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	ctx := within(t)
	e.set(t, "other", "EXECUTING")
	e.mustWatch(ctx, t, way{name: "other"}).wants(t, "task EXECUTING")
	for _, w := range overAll {
		e.set(t, w.name, "EXECUTING")
		leaving, leave := context.WithCancel(ctx)
		e.mustWatch(leaving, t, w).wants(t, "task EXECUTING")
		leave()
		e.kootask.says(t, `"request_id":"`+w.name+`".*"outcome":"(CALLER_CANCELLED)"`)
		asked := e.asked(t, w.name)
		others := e.asked(t, "other")
		await(t, e.kootask.ended, func() bool { return e.asked(t, "other") >= others+5 })
		if n := e.asked(t, w.name) - asked; n > 1 { // One may be in flight.
			t.Errorf("%s: KooDrive got %d requests for unauthenticated callers", w.name, n)
		}
	}
}

// When kootask stops, each watch gets the reason, through nginx too.
func TestNginxDraining(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	ctx := within(t)
	var all sync.WaitGroup
	for _, w := range overAll {
		e.set(t, w.name, "NEW")
		next := e.mustWatch(ctx, t, w)
		next.wants(t, "task NEW")
		all.Go(func() {
			if got, err := next(); got != "failure SERVER_DRAINING" || err != nil {
				t.Errorf("%s: %q, %v", w.name, got, err)
			}
			next.over(t, true)
		})
	}
	e.kootask.signal(t, syscall.SIGTERM)
	all.Wait()
	if state := e.kootask.ends(t, time.Minute); !state.Success() {
		t.Errorf("it ended with %v", state)
	}
}

// A reload cuts no stream: the old worker continues it, and new calls of its connection go to a new one.
func TestNginxReload(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	ctx := within(t)
	var all []next
	for _, w := range overAll {
		e.set(t, w.name, "NEW")
		next := e.mustWatch(ctx, t, w)
		next.wants(t, "task NEW")
		all = append(all, next)
	}
	conf, err := os.ReadFile(e.conf)
	if err != nil {
		t.Fatal(err)
	}
	e.configure(t, strings.Replace(string(conf), "\nhttp {", "\nhttp { add_header X-Generation 2;", 1))
	e.nginx.signal(t, syscall.SIGHUP)
	await(t, e.nginx.ended, func() bool {
		var header metadata.MD
		if _, err := e.tasks.GetTask(as(ctx, "get"), &taskv1.GetTaskRequest{TaskId: finishedID}, grpc.Header(&header)); err != nil {
			t.Fatal(err)
		}
		return len(header.Get("x-generation")) == 1
	})
	for i, w := range overAll {
		e.set(t, w.name, "SUCCESS")
		all[i].wants(t, "task SUCCESS")
		all[i].wants(t, "end")
		all[i].over(t, true)
	}
}

// One connection takes more watches than the 128 that nginx gives it by default.
func TestNginxManyWatches(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	ctx := within(t)
	e.set(t, "grpc", "NEW")
	for range 200 {
		e.mustWatch(ctx, t, overAll[0]).wants(t, "task NEW")
	}
}
