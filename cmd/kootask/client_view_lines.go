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
	out    io.Writer
	health map[string]string // The text printed last, by task.
}

// print prints a line about tasks: with the id of a single one, and the number of several.
func (v *lineView) print(what string, ids ...string) {
	who := fmt.Sprint(len(ids), " tasks")
	if len(ids) == 1 {
		who = ids[0]
	}
	_, _ = fmt.Fprintf(v.out, "%s %s %s\n", time.Now().UTC().Format(time.RFC3339), who, printable(what))
}

func (v *lineView) task(t *taskv1.Task) {
	v.print(statusName(t), t.GetTaskId())
	v.health[t.GetTaskId()] = ""
}

func (v *lineView) heartbeat(ids []string, h *taskv1.Heartbeat) {
	var answered, failing []string
	for _, id := range ids {
		now := health(id, h)
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
		v.print("KooDrive answers again", answered...)
	}
	if len(failing) > 0 {
		v.print(v.health[failing[0]], failing...)
	}
}

func (v *lineView) resume(ids []string, r *kootask.Resume) {
	v.print(fmt.Sprintf("interrupted (%s), again in %v", cause(r.Cause), r.After.Round(100*time.Millisecond)), ids...)
}

func (v *lineView) dropped(id string, why *kootask.Error) {
	v.resume([]string{id}, &kootask.Resume{Cause: why, After: why.RetryAfter})
}

// cause returns the cause of an interruption, in a word or two.
func cause(why *kootask.Error) string {
	if why.Reason != "" {
		return why.Reason
	}
	return "connection lost: " + why.Message
}

func (v *lineView) end(id string, err error, why string) {
	if err != nil && codeOf(nil, err) != exitInterrupted {
		v.print(why, id)
	}
}

func (v *lineView) close() {}

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

func (v *jsonView) end(id string, err error, why string) {
	if err == nil {
		v.print(id, "end", []byte("{}"))
		return
	}
	_, _ = fmt.Fprintf(v.out.stderr, "kootask: %s: %s\n", id, printable(why))
	data := []byte("{}")
	if failure := new(kootask.Error); errors.As(err, &failure) {
		data, _ = jsonline.Marshal(protojson.MarshalOptions{}, failure.GRPCStatus().Proto())
	}
	v.print(id, "failure", data)
}

func (v *jsonView) close() {}
