package main

import (
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// checkEnds checks that each task has one final state and one end in a JSON stream of watch.
func checkEnds(t *testing.T, stdout string, ids []string) {
	t.Helper()
	got := finals(t, stdout)
	for _, id := range ids {
		if ends := strings.Count(stdout, `{"taskId":"`+id+`","end":{}}`); got[id] != 1 || ends != 1 {
			t.Errorf("%s: %d final states, %d ends", id, got[id], ends)
		}
	}
}

// The server is drained and replaced when half of 120 tasks have finished: each of them ends once, over both servers.
func TestWatchSurvivesARollingRestart(t *testing.T) {
	t.Parallel()
	koodrive, many := koodrivetest.New(), ids("many-", 120)
	koodrive.AddToken("many", 0)
	become := func(status int64, ids []string) {
		for _, id := range ids {
			koodrive.SetTask(koodrivetest.Task{ID: id, Steps: []koodrivetest.Step{{Status: status}}})
		}
	}
	become(koodrivetest.StatusExecuting, many)
	become(koodrivetest.StatusSuccess, many[:60])
	upstream := httptest.NewServer(koodrive)
	t.Cleanup(upstream.Close)
	serve := func(addr string) (p *process, grpc string) {
		p = start(t, nil, "serve", "--upstream-allow-http", "--upstream-url="+upstream.URL, "--upstream-rps=1000", "--grpc-addr="+addr, "--http-addr=127.0.0.1:0", "--admin-addr=")
		return p, p.says(t, `"grpc":"([^"]+)"`)
	}
	old, addr := serve("127.0.0.1:0")
	watch := start(t, []string{tokenVariable + "=many"}, append([]string{"watch", "--addr=" + addr, "--output=json"}, many...)...)
	await(t, watch.ended, func() bool {
		text := watch.stdout.String()
		return strings.Count(text, `"end":{}`) == 60 && strings.Count(text, "TASK_STATUS_EXECUTING") == 60
	})
	old.signal(t, syscall.SIGTERM)
	old.ends(t, time.Minute)
	become(koodrivetest.StatusSuccess, many[60:])
	next, _ := serve(addr)
	if state := watch.ends(t, 3*time.Minute); state.ExitCode() != exitOK || !strings.Contains(watch.stdout.String(), `{"resume"`) {
		t.Errorf("%v\n%s%s", state, &watch.stdout, &watch.stderr)
	}
	checkEnds(t, watch.stdout.String(), many)
	// Two streams for 120 tasks. The 60 that were left may have been in one or both of them.
	const streams = "TaskService/WatchTasks"
	await(t, next.ended, func() bool { return strings.Contains(next.stderr.String(), streams) })
	if n := strings.Count(old.stderr.String(), streams); n != 2 {
		t.Errorf("%d streams on the first server:\n%s", n, &old.stderr)
	}
}
