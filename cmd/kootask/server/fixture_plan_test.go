package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/kootask/kootask/internal/history"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// plan is the behaviour of one client.
type plan struct {
	surface      string
	key          history.Key
	start, stay  time.Duration
	stallAt      int // The event after which it stops reading for a while; negative: none.
	stall        time.Duration
	again, calls bool          // It watches again until the task is finished, or makes calls.
	between      time.Duration // From the end of a watch or a call to the next.
}

// script gives each credential a KooDrive of its own, with tasks of its own.
func script(r *rand.Rand, rec *recorder) (keys []history.Key) {
	for credential := range 2 {
		name := fmt.Sprint("credential-", credential)
		k := koodrivetest.New()
		k.AddToken(name, 0)
		rec.koodrives[name] = k
		for task := range 1 + r.IntN(2) {
			key := history.Key{Credential: name, TaskID: fmt.Sprint("task-", task)}
			k.SetTask(koodrivetest.Task{ID: key.TaskID, Steps: life(r, key)})
			keys = append(keys, key)
		}
	}
	return keys
}

// troubles are faults of single answers.
var troubles = []func(*rand.Rand) *koodrivetest.Fault{
	func(*rand.Rand) *koodrivetest.Fault { return koodrivetest.Answer(401, "") },
	func(*rand.Rand) *koodrivetest.Fault { return koodrivetest.Answer(401, "") },
	func(*rand.Rand) *koodrivetest.Fault { return koodrivetest.Answer(403, "") },
	func(*rand.Rand) *koodrivetest.Fault {
		return koodrivetest.Answer(400, `{"code":13000309,"msg":"Resource not found."}`)
	},
	func(r *rand.Rand) *koodrivetest.Fault { return koodrivetest.Answer(500+r.IntN(5), "") },
	func(*rand.Rand) *koodrivetest.Fault { return koodrivetest.Answer(302, "") },
	func(*rand.Rand) *koodrivetest.Fault { return koodrivetest.Answer(200, "<html>") },
	func(*rand.Rand) *koodrivetest.Fault { return koodrivetest.Answer(200, `{"code":0}`) },
	func(r *rand.Rand) *koodrivetest.Fault { return koodrivetest.Throttled(fmt.Sprint(1 + r.IntN(10))) },
	func(*rand.Rand) *koodrivetest.Fault { return &koodrivetest.Fault{TaskID: "task-9"} },
	func(*rand.Rand) *koodrivetest.Fault { return &koodrivetest.Fault{Reset: true} },
	func(*rand.Rand) *koodrivetest.Fault { return &koodrivetest.Fault{Hang: true} },
	func(*rand.Rand) *koodrivetest.Fault { return &koodrivetest.Fault{Truncate: true} },
	func(*rand.Rand) *koodrivetest.Fault { return &koodrivetest.Fault{Pad: upstream.MaxBody + 1} },
	func(r *rand.Rand) *koodrivetest.Fault {
		return &koodrivetest.Fault{Latency: time.Duration(1+r.IntN(9000)) * time.Millisecond}
	},
	func(r *rand.Rand) *koodrivetest.Fault {
		return &koodrivetest.Fault{Latency: time.Duration(1+r.IntN(3000)) * time.Millisecond}
	},
}

// life is the life of a task: mostly forward, with a few steps back and faults.
func life(r *rand.Rand, key history.Key) (steps []koodrivetest.Step) {
	long := ""
	if r.IntN(4) == 0 { // So long that the buffers of a client that does not read fill up.
		long = strings.Repeat("x", 8<<10)
	}
	status, name := int64(0), ""
	for i := range 20 + r.IntN(30) {
		if name == "" || r.IntN(4) > 0 {
			name = fmt.Sprint(key.Credential, "/", key.TaskID, "/", i, long)
		}
		if status == 0 && r.IntN(4) == 0 {
			status = 1
		}
		step := koodrivetest.Step{Status: status, Name: name}
		switch r.IntN(10) {
		case 0:
			step.Status = 0
		case 1:
			step.Status = 77
		case 2, 3:
			step.Fault = troubles[r.IntN(len(troubles))](r)
			if r.IntN(3) == 0 {
				steps = append(steps, step)
			}
		}
		steps = append(steps, step)
	}
	if r.IntN(4) > 0 {
		name = fmt.Sprint(key.Credential, "/", key.TaskID, "/last", long)
		steps = append(steps, koodrivetest.Step{Status: 2 + r.Int64N(2), Name: name, ResultCode: "18000205"})
		if r.IntN(3) == 0 { // A node lags behind.
			steps = append(steps, koodrivetest.Step{Status: 1, Name: name}, koodrivetest.Step{Status: 2, Name: name})
		}
	}
	return steps
}

func newPlan(r *rand.Rand, i int, keys []history.Key, length time.Duration) plan {
	span := func(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most))) }
	p := plan{
		surface: []string{"grpc", ndjson, sse, "rest"}[i%4], key: keys[r.IntN(len(keys))], stallAt: -1, stay: 2 * length,
		again: r.IntN(3) > 0, between: 2*time.Second + span(8*time.Second),
	}
	p.calls = p.surface == "rest"
	if i < len(keys) { // Each task has a watcher from the start.
		p.key, p.again = keys[i], true
	} else {
		p.start = span(length * 3 / 4)
		if r.IntN(2) == 0 {
			p.stay = span(30 * time.Second)
		}
		if r.IntN(4) == 0 {
			p.stallAt, p.stall = r.IntN(5), span(50*time.Second)
		}
	}
	return p
}

// follow plays the plan, and records each view.
func (p plan) follow(ctx context.Context, t *testing.T, s *system, rec *recorder, over <-chan struct{}, record func(history.View)) {
	wait := func(d time.Duration) (goOn bool) {
		select {
		case <-time.After(d):
			return true
		case <-over:
			return false
		}
	}
	for goOn := wait(p.start); goOn; {
		v := history.View{Key: p.key, Surface: p.surface, Call: p.calls, Began: time.Since(rec.start)}
		staying, leave := context.WithCancel(ctx)
		timer := time.AfterFunc(p.stay, leave)
		if p.calls {
			e, err := s.getAs(staying, p.key.Credential, p.key.TaskID)
			if err == nil {
				v.Events = append(v.Events, rec.event(e))
			}
		} else {
			watcher := &system{tasks: s.tasks, http: s.http, credential: p.key.Credential}
			watcher.follow(staying, t, p.surface, p.key.TaskID, func(e event) {
				v.Events = append(v.Events, rec.event(e))
				if len(v.Events) == p.stallAt+1 {
					v.Stall = p.stall
					<-time.After(p.stall)
				}
			})
		}
		v.Left, v.Ended = staying.Err() != nil, time.Since(rec.start)
		timer.Stop()
		leave()
		if n := len(v.Events); v.Left && n > 0 && v.Events[n-1].Kind == history.Failure && v.Events[n-1].Reason == "" {
			v.Events = v.Events[:n-1] // Its own library's error for a client that has left.
		}
		record(v)
		ended := len(v.Events) > 0 && v.Events[len(v.Events)-1].Kind == history.End
		goOn = wait(p.between) && (p.calls || p.again && !ended)
	}
}

// mustUnmarshal reads JSON of the gateway.
func mustUnmarshal(data string, m proto.Message) {
	if err := protojson.Unmarshal([]byte(data), m); err != nil {
		panic(err)
	}
}
