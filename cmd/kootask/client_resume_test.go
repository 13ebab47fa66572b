package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// finals counts the final states that a JSON stream of watch reports, by task.
func finals(t *testing.T, stdout string) map[string]int {
	t.Helper()
	all := map[string]int{}
	for line := range strings.Lines(stdout) {
		var event struct {
			TaskID string `json:"taskId"`
			Task   *struct{ Done bool }
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Errorf("line %q: %v", line, err)
		}
		if event.Task != nil && event.Task.Done {
			all[event.TaskID]++
		}
	}
	return all
}

var livelyIDs = []string{"1534087020903704713", "1534087020903704714", "1534087020903704715"}

func checkFinals(t *testing.T, p *process) {
	t.Helper()
	state := p.ends(t, 3*time.Minute)
	got := finals(t, p.stdout.String())
	if state.ExitCode() != exitOK || len(got) != len(livelyIDs) || slices.ContainsFunc(livelyIDs, func(id string) bool { return got[id] != 1 }) {
		t.Errorf("it ended with %v and final states %v:\n%s%s", state, got, &p.stdout, &p.stderr)
	}
}

// The server is killed under a watch of three tasks, and starts again only after several attempts to resume them have failed.
func TestWatchSurvivesAKill(t *testing.T) {
	t.Parallel()
	koodrive := start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `answers on (http://\S+),`)
	reserve, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := reserve.Addr().String()
	_ = reserve.Close()
	serve := func() *process {
		p := start(t, nil, "serve", "--upstream-allow-http", "--upstream-url="+koodrive, "--grpc-addr="+addr, "--http-addr=127.0.0.1:0", "--admin-addr=")
		p.says(t, `"msg":"serving"`)
		return p
	}
	server := serve()
	watch := start(t, []string{tokenVariable + "=" + demoToken}, append([]string{"watch", "--addr=" + addr, "--output=json"}, livelyIDs...)...)
	// The views for people: through a pipe and on a terminal.
	piped := start(t, []string{tokenVariable + "=" + demoToken}, "watch", "--addr="+addr, livelyID)
	var people sync.WaitGroup
	var screen buffer
	people.Go(func() {
		code := drawOnTerminal(t, &screen, 30, 200, "--addr="+addr, livelyID)
		if text := screen.String(); code != exitOK || !strings.Contains(text, "lost: ") || !strings.Contains(text, "again in ") {
			t.Errorf("on a terminal: exit %d\n%s", code, text)
		}
	})
	piped.says(t, "NEW")
	await(t, watch.ended, func() bool { return strings.Count(watch.stdout.String(), "TASK_STATUS_NEW") == len(livelyIDs) })
	await(t, watch.ended, func() bool { return strings.Contains(screen.String(), "NEW") }) // A client that has seen nothing gives up.
	server.signal(t, os.Kill)
	server.ends(t, time.Minute)
	piped.says(t, "interrupted")
	await(t, watch.ended, func() bool {
		resumes := strings.Count(watch.stdout.String(), `{"resume"`) // Of one stream.
		return resumes >= 3 && strings.Contains(screen.String(), "again in ")
	})
	serve()
	checkFinals(t, watch)
	people.Wait()
	if state := piped.ends(t, 3*time.Minute); !state.Success() {
		t.Errorf("through a pipe: %v", state)
	}
	golden(t, "pipe-killed.txt", story(slices.Collect(strings.Lines(piped.stdout.String()))))
}

// The connection is cut in the middle of a message, repeatedly.
func TestWatchSurvivesACutConnection(t *testing.T) {
	t.Parallel()
	addr, _ := demo(t)
	proxy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	var cuts atomic.Int32
	go func() {
		for limit := int64(350); ; limit += 100 { // A task is some 150 bytes.
			client, err := proxy.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(addr, "--addr="))
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(server, client) }()
			go func() {
				if n, _ := io.CopyN(client, server, limit); n == limit {
					cuts.Add(1)
				}
				_, _ = client.Close(), server.Close()
			}()
		}
	}()
	watch := start(t, []string{tokenVariable + "=" + demoToken},
		append([]string{"watch", "--addr=" + proxy.Addr().String(), "--output=json"}, livelyIDs...)...)
	checkFinals(t, watch)
	if cuts.Load() < 2 || !strings.Contains(watch.stdout.String(), `{"resume"`) {
		t.Errorf("the connection was cut %d times:\n%s", cuts.Load(), &watch.stdout)
	}
}
