package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	kootask "github.com/kootask/kootask/clients/go"
	"github.com/kootask/kootask/internal/jsonline"
)

// lineView prints a line for each change: of a task, of KooDrive's health and of the connection.
type lineView struct {
	out    io.Writer
	health map[string]string // The text printed last, by task.
}

func (v *lineView) print(id, what string) {
	_, _ = fmt.Fprintf(v.out, "%s %s %s\n", time.Now().UTC().Format(time.RFC3339), id, printable(what))
}

func (v *lineView) event(id string, e kootask.Event) {
	switch {
	case e.Task != nil:
		v.print(id, statusName(e.Task))
		v.health[id] = ""
	case e.Resume != nil:
		v.print(id, fmt.Sprintf("interrupted (%s), again in %v", cause(e.Resume), e.Resume.After.Round(100*time.Millisecond)))
	case health(e) != v.health[id]:
		v.health[id] = health(e)
		if v.health[id] == "" {
			v.print(id, "KooDrive answers again")
		} else {
			v.print(id, v.health[id])
		}
	}
}

// cause returns the cause of an interruption, in a word or two.
func cause(r *kootask.Resume) string {
	if r.Cause.Reason != "" {
		return r.Cause.Reason
	}
	return "connection lost: " + r.Cause.Message
}

func (v *lineView) end(id string, err error, why string) {
	if err != nil && codeOf(nil, err) != exitInterrupted {
		v.print(id, why)
	}
}

func (v *lineView) close() {}

// jsonView prints an object for each event: {"taskId": …, "X": …}, where X is task, heartbeat, resume, end or failure.
// docs/cli.md describes them.
type jsonView struct{ out output }

func (v *jsonView) print(id, name string, data []byte) {
	_, _ = fmt.Fprintf(v.out.stdout, "{%q:%q,%q:%s}\n", "taskId", id, name, data)
}

func (v *jsonView) event(id string, e kootask.Event) {
	switch {
	case e.Task != nil:
		v.print(id, "task", asJSON(e.Task))
	case e.Heartbeat != nil:
		data, _ := jsonline.Marshal(asOverREST, e.Heartbeat)
		v.print(id, "heartbeat", data)
	default:
		data, _ := json.Marshal(map[string]any{
			"reason": e.Resume.Cause.Reason, "message": e.Resume.Cause.Message, "afterSeconds": e.Resume.After.Seconds(),
		})
		v.print(id, "resume", data)
	}
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
