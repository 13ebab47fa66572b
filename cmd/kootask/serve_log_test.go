package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// Whatever happens to the log, calls are answered, watches go on, and a stop ends everything within the grace time. Only the one
// goroutine that writes may be stuck.
func TestLogMayHangOrFail(t *testing.T) {
	for name, open := range logs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			koodrive := koodrivetest.New()
			koodrive.AddToken(demoToken, 0)
			states := func(id string, all ...koodrivetest.Step) { koodrive.SetTask(koodrivetest.Task{ID: id, Steps: all}) }
			states("finished", koodrivetest.Step{Status: koodrivetest.StatusSuccess})
			states("changes", koodrivetest.Step{Status: koodrivetest.StatusExecuting})
			states("runs", koodrivetest.Step{Status: koodrivetest.StatusExecuting})
			upstream := httptest.NewServer(koodrive)
			t.Cleanup(upstream.Close)

			const grace = 5 * time.Second // Leaving takes half of it, and the machine may be busy.
			httpAddr, adminAddr := freeAddress(t), freeAddress(t)
			log := open(t)
			p := startInto(t, log, nil, program, "serve", "--upstream-allow-http", "--upstream-url="+upstream.URL, "--shutdown-grace="+grace.String(),
				"--grpc-addr=127.0.0.1:0", "--http-addr="+httpAddr, "--admin-addr="+adminAddr)
			_ = log.Close() // The process has its own.
			admin := adminPort{"http://" + adminAddr, &http.Client{Transport: &http.Transport{}}}
			await(t, p.ended, func() bool {
				resp, err := http.Get(admin.base + "/readyz")
				if err == nil {
					_ = resp.Body.Close()
				}
				return err == nil && resp.StatusCode == http.StatusOK
			})
			changes, runs := watchLines(t, httpAddr, "changes"), watchLines(t, httpAddr, "runs")
			first(t, changes, `"task"`)
			first(t, runs, `"task"`)
			for range 600 { // Their lines do not fit into a pipe.
				if status := fetch(t, httpAddr, "finished"); status != http.StatusOK {
					t.Fatalf("a call is answered with %d", status)
				}
			}
			states("changes", koodrivetest.Step{Status: koodrivetest.StatusSuccess})
			first(t, changes, `"end"`)
			writers := strings.Count(admin.read(t, goroutines), "logging.(*queue).write+")
			if most := 1; writers > most || name == "nobody reads" && writers < most {
				t.Errorf("%d goroutines write the log", writers)
			}
			p.signal(t, syscall.SIGTERM)
			signalled := time.Now()
			first(t, runs, "SERVER_DRAINING")
			state := p.ends(t, time.Minute)
			if took := time.Since(signalled); !state.Success() || took > grace+5*time.Second {
				t.Errorf("it ended with %v after %v", state, took)
			}
		})
	}
}

// A stop that cancels calls has an error to report: a stuck log does not delay it either.
func TestFailedStopWithAStuckLog(t *testing.T) {
	_, w := pipe(t)
	_ = w.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	for {
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			break // The pipe is full.
		}
	}
	silent, asked := silentServer(t)
	addr := freeAddress(t)
	p := startInto(t, w, nil, program, "serve", "--upstream-allow-http", "--upstream-url=http://"+silent, "--shutdown-grace=1s",
		"--grpc-addr=127.0.0.1:0", "--http-addr="+addr, "--admin-addr=")
	await(t, p.ended, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	go func() {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/v1/tasks/1", nil)
		r.Header.Set("Authorization", "Bearer "+demoToken)
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-asked
	p.signal(t, syscall.SIGTERM)
	if state := p.ends(t, 20*time.Second); state.ExitCode() != exitError {
		t.Errorf("it ended with %v", state)
	}
}

// When serve ends, its log is complete, including the number of dropped lines.
func TestLogIsWrittenToItsEnd(t *testing.T) {
	p := start(t, nil, append([]string{"serve", "--upstream-url=https://koodrive.test"}, anyPorts...)...)
	addr := p.says(t, `"http":"([^"]+)"`)
	for range 50 {
		if status := fetch(t, addr, "list"); status != http.StatusBadRequest {
			t.Fatalf("a call is answered with %d", status)
		}
	}
	p.signal(t, syscall.SIGTERM)
	if state := p.ends(t, time.Minute); !state.Success() {
		t.Errorf("it ended with %v", state)
	}
	log := p.stderr.String()
	if lines := strings.Count(log, `"outcome":"TASK_ID_INVALID"`); lines >= 50 || !strings.Contains(log, `"left_out":`) ||
		!strings.Contains(log, `"msg":"stopped"`) {
		t.Errorf("%d lines:\n%s", lines, log)
	}
}

// Commands that are filters die when nobody reads their output; only serve does not.
func TestFiltersDieOfABrokenPipe(t *testing.T) {
	r, w := pipe(t)
	_ = r.Close()
	p := startInto(t, w, nil, program, "simulate", "--addr=nowhere")
	if state := p.ends(t, time.Minute); state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE {
		t.Errorf("it ended with %v", state)
	}
}
