package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/jsonline"
)

// lineView prints a line for each change: of a task, of KooDrive's health and of the connection.
type lineView struct {
	out     io.Writer
	colours bool
	words   *words
	tally   tally
	health  map[string]string // The text printed last, by task.
}

func newLineView(out io.Writer, colours bool, w *words) *lineView {
	return &lineView{out: out, colours: colours, words: w, tally: newTally(w), health: map[string]string{}}
}

// print prints a line about tasks: with the id of a single one, and the number of several.
func (v *lineView) print(what piece, ids ...string) {
	who := fmt.Sprintf(v.words.Tasks, len(ids))
	if len(ids) == 1 {
		who = ids[0]
	}
	v.write(coloured{in(plain, time.Now().UTC().Format(time.RFC3339)+" "+who+" "), what})
}

func (v *lineView) write(l coloured) { _, _ = fmt.Fprintln(v.out, l.render(v.colours)) }

func (v *lineView) task(t *taskv1.Task) {
	v.print(in(colourOf(t), v.words.state(t)), t.GetTaskId())
	v.health[t.GetTaskId()] = ""
}

func (v *lineView) heartbeat(ids []string, h *taskv1.Heartbeat) {
	var answered, failing []string
	problem := fmt.Sprintf(v.words.Fails, v.words.failing(h), v.words.polls(h))
	for _, id := range ids {
		now := ""
		if fails(id, h) {
			now = problem
		}
		if now == v.health[id] {
			continue
		}
		if v.health[id] = now; now == "" {
			answered = append(answered, id)
		} else {
			failing = append(failing, id)
		}
	}
	if len(answered) > 0 {
		v.print(in(plain, v.words.Answers), answered...)
	}
	if len(failing) > 0 {
		v.print(in(yellow, problem), failing...)
	}
}

func (v *lineView) resume(ids []string, r *kootask.Resume) {
	v.print(in(yellow, fmt.Sprintf(v.words.Interrupted, v.words.cause(r.Cause), v.words.again(r.After))), ids...)
}

func (v *lineView) dropped(id string, why *kootask.Error) {
	v.resume([]string{id}, &kootask.Resume{Cause: why, After: why.RetryAfter})
}

func (v *lineView) end(e outcome) {
	v.tally.ends[e.code]++
	if e.err != nil && e.code != exitInterrupted {
		v.print(in(red, e.why), e.id)
	}
}

func (v *lineView) close() { v.write(v.tally.summary()) }

// jsonView prints an object for each event: {"taskId": …, "X": …}, where X is task, dropped, end or failure; and without a
// taskId, because they are about all tasks of a stream, {"heartbeat": …} and {"resume": …}. docs/cli.md describes them.
type jsonView struct{ out output }

func (v *jsonView) print(id, name string, data []byte) {
	_, _ = fmt.Fprintf(v.out.stdout, "{%q:%q,%q:%s}\n", "taskId", id, name, data)
}

func (v *jsonView) task(t *taskv1.Task) { v.print(t.GetTaskId(), "task", asJSON(t)) }

func (v *jsonView) heartbeat(_ []string, h *taskv1.Heartbeat) {
	data, _ := jsonline.Marshal(asOverREST, h)
	_, _ = fmt.Fprintf(v.out.stdout, "{%q:%s}\n", "heartbeat", data)
}

func (v *jsonView) resume(_ []string, r *kootask.Resume) {
	_, _ = fmt.Fprintf(v.out.stdout, "{%q:%s}\n", "resume", again(r.Cause, r.After))
}

func (v *jsonView) dropped(id string, why *kootask.Error) {
	v.print(id, "dropped", again(why, why.RetryAfter))
}

// again describes why and when a watch goes on.
func again(why *kootask.Error, after time.Duration) []byte {
	data, _ := json.Marshal(map[string]any{"reason": why.Reason, "message": why.Message, "afterSeconds": after.Seconds()})
	return data
}

func (v *jsonView) end(e outcome) {
	if e.err == nil {
		v.print(e.id, "end", []byte("{}"))
		return
	}
	_, _ = fmt.Fprintf(v.out.stderr, "kootask: %s: %s\n", e.id, printable(e.why))
	data := []byte("{}")
	if failure := new(kootask.Error); errors.As(e.err, &failure) {
		data, _ = jsonline.Marshal(protojson.MarshalOptions{}, failure.GRPCStatus().Proto())
	}
	v.print(e.id, "failure", data)
}

func (v *jsonView) close() {}
