package server_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// neighbourFaults are the faults of a bad neighbour's tasks.
var neighbourFaults = map[string]*koodrivetest.Fault{
	"failing":      koodrivetest.Answer(500, `{"code":13000201,"msg":"inner"}`),
	"hanging":      {Hang: true},
	"unreadable":   koodrivetest.Answer(200, "<html>"),
	"slow":         {Latency: 9 * time.Second},
	"rate-limited": koodrivetest.Throttled(""),
}

// Ten callers beside one that loops over bad tasks are served as if they were alone. If KooDrive then fails for all, it gets few
// requests.
func TestNeighbours(t *testing.T) {
	for _, app := range []bool{false, true} {
		for fault := range neighbourFaults {
			for _, way := range []string{"call", "watch"} {
				for _, door := range []string{"grpc", "rest"} {
					mode := "caller"
					if app {
						mode = "app"
					}
					t.Run(fmt.Sprintf("%s tasks/%s over %s/%s mode", fault, way, door, mode), func(t *testing.T) {
						t.Parallel()
						bubble(t, quiet(app), func(t *testing.T, s *system) {
							n := newNeighbourhood(s, app)
							n.meet(t, door)
							n.spoil(fault)
							ctx, leave := context.WithTimeout(t.Context(), 20*time.Second)
							defer leave()
							var loops sync.WaitGroup
							for i := range 80 {
								loops.Go(func() { n.loop(ctx, t, way, door, i) })
							}
							n.honest(ctx, t, 10)
							loops.Wait()
							if door == "grpc" && way == "call" {
								n.outage(t)
							}
						})
					})
				}
			}
		}
	}
}

// A new caller at the address of a bad neighbour is served too. If failures of three tasks or more have opened the circuit of the
// address, that may take two pauses: one for the neighbour's probe and one for its own.
func TestNewcomerBesideANeighbour(t *testing.T) {
	t.Parallel()
	for tasks, least := range map[int]int{1: 59, 2: 59, 80: 60 - 2*int(2*upstream.BreakerPause/time.Second)} {
		t.Run(fmt.Sprintf("%d bad tasks", tasks), func(t *testing.T) {
			bubble(t, quiet(false), func(t *testing.T, s *system) {
				n := newNeighbourhood(s, false)
				n.tasks = tasks
				n.spoil("failing")
				ctx, leave := context.WithTimeout(t.Context(), 45*time.Second)
				defer leave()
				var loops sync.WaitGroup
				for i := range 80 {
					loops.Go(func() { n.loop(ctx, t, "call", "grpc", i) })
				}
				time.Sleep(10 * time.Second)
				answered, from := 0, time.Now()
				for time.Since(from) < 30*time.Second {
					if n.get(ctx, t, "grpc", 0) == nil {
						answered++
					}
					time.Sleep(time.Second / 2)
				}
				t.Logf("%d of 60 calls of a newcomer at the same address are answered", answered)
				if answered < least {
					t.Errorf("%d of 60 calls are answered, want %d", answered, least)
				}
				// At another address there is no difference.
				other := newNeighbourhood(s.from(t, "203.0.113.7:1000"), false)
				for i := range 5 {
					if err := other.get(ctx, t, "grpc", 1+i); err != nil {
						t.Errorf("a newcomer at another address: %v", err)
					}
				}
				loops.Wait()
			})
		})
	}
}

// quiet is a config without a log, which would be long.
func quiet(app bool) func(*server.Config) {
	return func(c *server.Config) {
		c.Log = slog.New(slog.DiscardHandler)
		if app {
			c.Service.App = &upstream.App{ID: "app", Secrets: upstream.FixedSecrets(secret.New("s3cr3t"))}
		}
	}
}

// neighbourhood is ten honest callers, each with a task, and a bad neighbour with many.
type neighbourhood struct {
	*system
	app   bool
	tasks int
}

func newNeighbourhood(s *system, app bool) *neighbourhood {
	n := &neighbourhood{s, app, 80}
	s.koodrive.AddApp("app", "s3cr3t")
	s.koodrive.AddToken("neighbour", 0)
	for i := range 10 {
		s.koodrive.AddToken(fmt.Sprint("honest-", i), 0)
		s.koodrive.SetTask(koodrivetest.Task{ID: fmt.Sprint("good-", i), Steps: steps(1)})
	}
	n.spoil("")
	return n
}

// spoil gives the neighbour's tasks a fault.
func (n *neighbourhood) spoil(fault string) {
	for i := range n.tasks {
		step := koodrivetest.Step{Status: 1, Fault: neighbourFaults[fault]}
		n.koodrive.SetTask(koodrivetest.Task{ID: fmt.Sprint("bad-", i), Steps: []koodrivetest.Step{step}})
	}
}

// as is the context of a caller, or of a user of the app.
func (n *neighbourhood) as(ctx context.Context, name string) context.Context {
	if n.app {
		return metadata.AppendToOutgoingContext(ctx, "x-user-id", name)
	}
	return as(ctx, name)
}

// meet lets KooDrive answer everybody for a while before anything fails. The neighbour calls most.
func (n *neighbourhood) meet(t *testing.T, door string) {
	t.Helper()
	known, done := context.WithTimeout(t.Context(), time.Second)
	defer done()
	n.honest(known, t, 0)
	ctx, leave := context.WithTimeout(t.Context(), 3*time.Second)
	defer leave()
	var loops sync.WaitGroup
	for i := range 40 {
		loops.Go(func() { n.loop(ctx, t, "call", door, i) })
	}
	loops.Wait()
}

// get calls GetTask for an honest caller.
func (n *neighbourhood) get(ctx context.Context, t *testing.T, door string, i int) error {
	name, id := fmt.Sprint("honest-", i), fmt.Sprint("good-", i)
	if door == "grpc" {
		_, err := n.system.tasks.GetTask(n.as(ctx, name), &taskv1.GetTaskRequest{TaskId: id, MaxAge: noAge})
		return err
	}
	return n.visit(ctx, t, name, "/v1/tasks/"+id+"?maxAge=0s")
}

// visit makes a request over HTTP, to the end of its answer.
func (n *neighbourhood) visit(ctx context.Context, t *testing.T, name, path string) error {
	r := request(ctx, t, path)
	r.Header.Set("Authorization", "Bearer "+name)
	if n.app {
		r.Header.Set("X-User-Id", name)
	}
	resp, err := n.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%d %s", resp.StatusCode, body)
	}
	return err
}

// honest calls as ten callers, each twice per second, until ctx ends, and checks that no more than the allowed share of the calls
// fails.
func (n *neighbourhood) honest(ctx context.Context, t *testing.T, most int64) {
	t.Helper()
	var calls, failed atomic.Int64
	var last atomic.Pointer[error]
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			for ctx.Err() == nil {
				calls.Add(1)
				if err := n.get(t.Context(), t, []string{"grpc", "rest"}[i%2], i); err != nil {
					failed.Add(1)
					last.Store(&err)
				}
				<-time.After(time.Second / 2)
			}
		})
	}
	all.Wait()
	if 1000*failed.Load() > most*calls.Load() {
		t.Errorf("%d of %d calls failed, the last with %v", failed.Load(), calls.Load(), *last.Load())
	}
}

// loop calls or watches a bad task in a loop.
func (n *neighbourhood) loop(ctx context.Context, t *testing.T, way, door string, i int) {
	id := fmt.Sprint("bad-", i%n.tasks)
	for ctx.Err() == nil {
		switch {
		case door == "rest" && way == "call":
			_ = n.visit(ctx, t, "neighbour", "/v1/tasks/"+id)
		case door == "rest":
			_ = n.visit(ctx, t, "neighbour", "/v1/tasks/"+id+":watch")
		case way == "call":
			_, _ = n.system.tasks.GetTask(n.as(ctx, "neighbour"), &taskv1.GetTaskRequest{TaskId: id})
		default:
			stream, err := n.system.tasks.WatchTask(n.as(ctx, "neighbour"), &taskv1.WatchTaskRequest{TaskId: id})
			for err == nil {
				_, err = stream.Recv()
			}
		}
		<-time.After(2 * time.Second)
	}
}

// outage checks that a KooDrive that fails for all gets at most one request per second, though everybody keeps calling.
func (n *neighbourhood) outage(t *testing.T) {
	t.Helper()
	n.koodrive.SetFault(koodrivetest.Answer(503, ""))
	ctx, leave := context.WithTimeout(t.Context(), 30*time.Second)
	defer leave()
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			for ctx.Err() == nil {
				_ = n.get(ctx, t, "grpc", i)
				<-time.After(time.Second)
			}
		})
	}
	<-time.After(15 * time.Second)
	before := n.koodrive.Count()
	<-time.After(15 * time.Second)
	if got := n.koodrive.Count() - before; got > 15 {
		t.Errorf("a KooDrive that is down gets %d requests in 15 s", got)
	}
	n.koodrive.SetFault(nil)
	all.Wait()
}
