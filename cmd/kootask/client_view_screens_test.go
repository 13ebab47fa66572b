package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// session is a watch as it happens on a terminal, in virtual time.
type session struct {
	on     *terminal
	rows   int // Height of the terminal. 0: 24.
	ids    []string
	play   func(s *session)
	yield  func(kootask.Event, error) bool
	shot   strings.Builder
	words  *words
	sleep  func(time.Duration)
	failed error // The error of a real call, which the watch ends with.
	why    string
}

func at(offset time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(-offset)) }

func (s *session) task(id string, status taskv1.TaskStatus, code string) {
	t := &taskv1.Task{TaskId: id, Status: status, KoodriveResultCode: code, ObserveTime: at(0)}
	t.Done = status == taskv1.TaskStatus_TASK_STATUS_SUCCESS || status == taskv1.TaskStatus_TASK_STATUS_FAILED
	s.yield(kootask.Event{Task: t}, nil)
}

const (
	isNew     = taskv1.TaskStatus_TASK_STATUS_NEW
	executing = taskv1.TaskStatus_TASK_STATUS_EXECUTING
	success   = taskv1.TaskStatus_TASK_STATUS_SUCCESS
	failure   = taskv1.TaskStatus_TASK_STATUS_FAILED
)

// refusal is kootask's error for an outcome, in the language of the session.
func (s *session) refusal(name string, code codes.Code) *kootask.Error {
	all := reason.Catalogue()
	return &kootask.Error{Code: code, Reason: name, Message: all[reason.English][name], LocalizedMessage: all[s.words.language][name], RequestID: "0123456789abcdef0123456789abcdef"}
}

// look waits, and records what the terminal shows.
func (s *session) look(what string, after time.Duration) {
	s.sleep(after)
	synctest.Wait()
	_, _ = fmt.Fprintf(&s.shot, "%s:\n%s\n", what, s.on)
}

var pair = []string{"1534087020903704713", "1534087020903704716"}

// sessions are what people meet: in order, then with each kind of trouble.
var sessions = map[string]session{
	"running": {ids: pair, play: func(s *session) {
		s.look("before the first answer", 2*time.Second)
		s.task(pair[0], isNew, "")
		s.task(pair[1], executing, "")
		s.look("known", 4*time.Second)
		s.task(pair[0], executing, "")
		s.look("changed", 70*time.Second)
	}},
	"failing": {ids: pair, play: func(s *session) {
		s.task(pair[0], executing, "")
		s.task(pair[1], executing, "")
		s.sleep(5 * time.Second)
		s.yield(kootask.Event{Heartbeat: &taskv1.Heartbeat{ObserveTime: at(time.Second), FailureCount: 3, FailureReason: "UPSTREAM_UNAVAILABLE", FailingTaskIds: pair[1:]}, TaskIDs: pair}, nil)
		s.look("failing", time.Second)
		s.yield(kootask.Event{Heartbeat: &taskv1.Heartbeat{ObserveTime: at(0)}, TaskIDs: pair}, nil)
		s.look("well again", time.Second)
	}},
	"refused": {ids: pair, play: func(s *session) {
		s.yield(kootask.Event{}, s.refusal("CREDENTIAL_REJECTED", codes.Unauthenticated))
	}},
	"lost": {ids: pair, play: func(s *session) {
		s.task(pair[0], executing, "")
		s.sleep(5 * time.Second)
		why := &kootask.Error{Code: codes.Unavailable, Message: `connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:9090: connect: connection refused"`}
		s.yield(kootask.Event{Resume: &kootask.Resume{Cause: why, After: 3 * time.Second}, TaskIDs: pair}, nil)
		s.look("lost", paintInterval)
		s.look("a second later", time.Second)
		s.look("when it is time", 2*time.Second)
		s.task(pair[1], executing, "")
		s.task(pair[0], success, "")
		s.task(pair[1], success, "")
	}},
	"dropped": {ids: pair, play: func(s *session) {
		s.task(pair[0], executing, "")
		why := s.refusal("UPSTREAM_RATE_LIMITED", codes.ResourceExhausted)
		why.TaskID, why.Retry, why.RetryAfter = pair[1], true, 30*time.Second
		s.yield(kootask.Event{Dropped: why}, nil)
		s.look("dropped", time.Second)
		gone := s.refusal("TASK_NOT_FOUND", codes.NotFound)
		gone.TaskID = pair[1]
		s.yield(kootask.Event{Dropped: gone}, nil)
		s.task(pair[0], success, "")
	}},
	"finished": {ids: append(pair[:2:2], "1534087020903704704"), play: func(s *session) {
		s.task(pair[0], isNew, "")
		s.task(pair[1], executing, "")
		s.task("1534087020903704704", failure, "18000205")
		s.look("one has failed", time.Second)
		s.sleep(3 * time.Second)
		s.task(pair[0], executing, "")
		s.sleep(68 * time.Second)
		s.task(pair[0], success, "")
		s.task(pair[1], success, "")
	}},
	"many": {rows: 12, ids: ids("many-", 40), play: func(s *session) {
		for _, id := range s.ids {
			s.task(id, isNew, "")
		}
		s.look("all are known", time.Second)
		for i, id := range s.ids[:8] {
			s.task(id, executing, "")
			if i%4 == 3 {
				s.task(id, failure, "18000205")
			}
		}
		s.yield(kootask.Event{Heartbeat: &taskv1.Heartbeat{ObserveTime: at(0), FailureCount: 1, FailureReason: "UPSTREAM_TIMEOUT", FailingTaskIds: s.ids[30:32]}, TaskIDs: s.ids[8:]}, nil)
		s.look("some are executing, some have failed", time.Second)
		for i, id := range s.ids {
			if i >= 8 || i%4 != 3 {
				s.task(id, success, "")
			}
		}
	}},
	"interrupted": {ids: pair, play: func(s *session) {
		s.task(pair[0], executing, "")
		s.sleep(5 * time.Second)
		_, _ = s.on.Write([]byte("^C")) // The echo of the terminal.
	}},
	"resized": {ids: pair, play: func(s *session) {
		s.task(pair[0], isNew, "")
		s.task(pair[1], executing, "")
		s.sleep(5 * time.Second)
		s.task(pair[0], executing, "")
		s.look("before", time.Second)
		width, height, _ := s.on.size()
		s.on.resize(width/2, height)
		s.look("half as wide", paintInterval)
		s.on.resize(width, height)
		s.look("as before", paintInterval)
	}},
	"tokenless": {ids: pair, play: func(s *session) { s.yield(kootask.Event{}, s.failed) }},
	"httpport":  {ids: pair, play: func(s *session) { s.yield(kootask.Event{}, s.failed) }},
}

func ids(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(prefix, i))
	}
	return all
}

// events are the events of the session.
func (s *session) events() iter.Seq2[kootask.Event, error] {
	return func(yield func(kootask.Event, error) bool) {
		s.yield = yield
		s.play(s)
		yield(kootask.Event{}, context.Canceled) // Ends the unfinished tasks, if there are any.
	}
}

// What a terminal shows during each session, for each language, width and choice of colours. The files have the screens
// between their edges, below rows that have scrolled away. A number in braces is a colour.
func TestScreens(t *testing.T) {
	wrong := realErrors(t)
	for name, of := range sessions {
		for _, language := range reason.Languages() {
			t.Run(name+"-"+language, func(t *testing.T) {
				var all strings.Builder
				for _, width := range []int{120, 80, 40} {
					for _, colours := range []bool{false, true} {
						s := of
						s.words = allWords()[language]
						s.failed, s.why = wrong[name+language].err, wrong[name+language].why
						synctest.Test(t, func(*testing.T) {
							s.sleep = func(d time.Duration) { time.Sleep(d) }
							s.show(width, colours)
						})
						all.WriteString(s.shot.String())
					}
				}
				golden(t, filepath.Join("screens", name+"-"+language+".txt"), all.String())
				if strings.Contains(all.String(), "<") {
					t.Errorf("a line wraps, or a sequence is unknown:\n%s", &all)
				}
			})
		}
	}
}

// show plays the session, and records the last screen.
func (s *session) show(width int, colours bool) {
	height := s.rows
	if height == 0 {
		height = 24
	}
	s.on = newTerminal(width, height)
	_, _ = s.on.Write([]byte("$ kootask watch\n"))
	explain := (&connection{words: s.words}).explain
	if s.failed != nil {
		explain = func(error) string { return s.why }
	}
	v := newLiveView(painter{out: s.on, colours: colours}, s.on.size, s.words, s.ids)
	err := follow(s.events(), s.ids, v, explain)
	v.close()
	_, _ = s.on.Write([]byte("$ "))
	s.look(fmt.Sprint("at the end, exit code ", report(io.Discard, err)), 0)
}

type mistake struct {
	err error
	why string
}

// realErrors returns the errors of calls without a token and to the HTTP port, with their explanations, by session and language.
func realErrors(t *testing.T) map[string]mistake {
	t.Helper()
	all := map[string]mistake{}
	d := &double{outcomes: map[string]reason.Outcome{"9": reason.CredentialMissing}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor > 1 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(reason.Domain))
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	for name, addr := range map[string]string{"tokenless": "127.0.0.1:" + d.serve(t, nil), "httpport": server.Listener.Addr().String()} {
		for language, w := range allWords() {
			c, err := clientFlags{Addr: addr, Output: "auto"}.connect()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.words = w
			_, err = c.Get(t.Context(), "9", c.options()...)
			if err == nil {
				t.Fatal("no error")
			}
			all[name+language] = mistake{err, regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(c.explain(err), "127.0.0.1:8080")}
		}
	}
	return all
}

// documentedSession returns two screens of a session, for docs/cli.md.
func documentedSession(t *testing.T) string {
	t.Helper()
	s := sessions["finished"]
	s.words = allWords()[reason.English]
	synctest.Test(t, func(*testing.T) {
		s.sleep = func(d time.Duration) { time.Sleep(d) }
		s.show(80, false)
	})
	screens := strings.Split(s.shot.String(), strings.Repeat("-", 80)+"\n")
	command := strings.NewReplacer("$ kootask watch\n", "$ kootask watch "+strings.Join(s.ids, " ")+"\n")
	return "```text\n" + command.Replace(screens[1]) + "```\n\nA minute later, all tasks are finished:\n\n```text\n" + command.Replace(screens[3]) + "```\n"
}
