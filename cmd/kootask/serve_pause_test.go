package main

import (
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A process that was stopped for longer than a watch may be stale polls once before it ends the watch, which goes on if KooDrive
// answers.
func TestWatchesOutliveAPause(t *testing.T) {
	const staleAfter, pause = 2 * time.Second, 4 * time.Second
	for name, row := range map[string]struct {
		fault *koodrivetest.Fault // Since the pause.
		end   string
	}{
		"KooDrive answers": {nil, `"end"`},
		"KooDrive fails":   {koodrivetest.Answer(http.StatusServiceUnavailable, ""), "UPSTREAM_STALE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			koodrive := koodrivetest.New()
			koodrive.AddToken(demoToken, 0)
			state := func(status int64) {
				koodrive.SetTask(koodrivetest.Task{ID: "runs", Steps: []koodrivetest.Step{{Status: status}}})
			}
			state(koodrivetest.StatusExecuting)
			upstream := httptest.NewServer(koodrive)
			t.Cleanup(upstream.Close)
			p := start(t, nil, append([]string{
				"serve", "--upstream-allow-http", "--upstream-url=" + upstream.URL, "--upstream-timeout=1s", "--heartbeat=1s",
				"--poll-min=200ms", "--poll-max=200ms", "--poll-backoff-max=10m", "--stale-after=" + staleAfter.String(),
			}, anyPorts...)...)
			lines := watchLines(t, p.says(t, `"http":"([^"]+)"`), "runs")
			first(t, lines, `"task"`)

			p.signal(t, syscall.SIGSTOP)
			<-time.After(pause)
			state(koodrivetest.StatusSuccess)
			koodrive.SetFault(row.fault)
			before := koodrive.Count()
			p.signal(t, syscall.SIGCONT)
			first(t, lines, row.end)
			if polls := koodrive.Count() - before; polls < 1 || polls > 2 { // The second if the pause has delayed one.
				t.Errorf("it polled %d times", polls)
			}
		})
	}
}
