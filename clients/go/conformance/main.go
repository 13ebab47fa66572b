// Command conformance is the Go client's program in the conformance suite: see clients/conformance. It reads a command,
// makes the call, and prints the client's results.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// command is the suite's command. Times are in seconds.
type command struct {
	Call, Addr, CAFile, TaskID, Token, UserID, Language string

	TaskIDs           []string
	MaxAge            *float64
	Deadline          *float64
	FailedTaskAsError bool
	CancelAfterTasks  int
	CallerTokens      []string
}

func main() {
	if err := run(bufio.NewReader(os.Stdin)); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
}

func run(in *bufio.Reader) error {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var c command
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return err
	}
	config := kootask.Config{Addr: c.Addr}
	if c.CAFile != "" {
		authorities, err := os.ReadFile(c.CAFile)
		if err != nil {
			return err
		}
		config.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		config.TLS.RootCAs.AppendCertsFromPEM(authorities)
	}
	if len(c.CallerTokens) > 0 {
		config.CallerToken = c.callerToken
	}
	client, err := kootask.New(config)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx := context.Background()
	if c.Deadline != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, seconds(*c.Deadline))
		defer cancel()
	}
	switch c.Call {
	case "get":
		finish(client.Get(ctx, c.TaskID, c.options()...))
	case "wait":
		finish(client.Wait(ctx, c.TaskID, c.options()...))
	case "watch":
		c.watch(client.Events(ctx, c.TaskID, c.options()...))
	case "watchAll":
		c.watch(client.WatchAll(ctx, c.TaskIDs, c.options()...))
	default:
		return fmt.Errorf("unknown call %q", c.Call)
	}
	// The client must stay: the suite checks that a cancelled call ends by itself, not with the client.
	_, _ = io.Copy(io.Discard, in)
	return nil
}

// callerToken returns the tokens in order, and then repeats the last one.
func (c *command) callerToken() (string, error) {
	token := c.CallerTokens[0]
	if len(c.CallerTokens) > 1 {
		c.CallerTokens = c.CallerTokens[1:]
	}
	return token, nil
}

func (c *command) options() []kootask.Option {
	options := []kootask.Option{kootask.Token(c.Token), kootask.UserID(c.UserID), kootask.Language(c.Language)}
	if c.MaxAge != nil {
		options = append(options, kootask.MaxAge(seconds(*c.MaxAge)))
	}
	if c.FailedTaskAsError {
		options = append(options, kootask.FailedTaskAsError())
	}
	return options
}

// finish prints the result of a call that returns a task.
func finish(task *taskv1.Task, err error) {
	if err != nil {
		say("failure", failure(err))
		return
	}
	say("task", message(task))
	say("end", struct{}{})
}

func (c *command) watch(events iter.Seq2[kootask.Event, error]) {
	tasks := 0
	for event, err := range events {
		switch {
		case err != nil:
			say("failure", failure(err))
			return
		case event.Heartbeat != nil:
			say("heartbeat", message(event.Heartbeat))
		case event.Resume != nil:
			resume := map[string]any{"cause": failure(event.Resume.Cause), "afterSeconds": event.Resume.After.Seconds()}
			if c.Call == "watchAll" {
				resume["taskIds"] = event.TaskIDs
			}
			say("resume", resume)
		case event.Dropped != nil:
			dropped := failure(event.Dropped)
			dropped["taskId"] = event.Dropped.TaskID
			say("dropped", dropped)
		default:
			say("task", message(event.Task))
			tasks++
		}
		if tasks > 0 && tasks == c.CancelAfterTasks {
			defer say("cancelled", struct{}{})
			return
		}
	}
	say("end", struct{}{})
}

// say prints one line.
func say(what string, value any) {
	line, err := json.Marshal(map[string]any{what: value})
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprintf(os.Stdout, "%s\n", line)
}

func message(m proto.Message) json.RawMessage {
	text, err := protojson.Marshal(m)
	if err != nil {
		panic(err)
	}
	return text
}

// failure returns an error in the suite's form.
func failure(err error) map[string]any {
	e := err.(*kootask.Error) //nolint:errorlint // The client returns the type itself.
	known := ""
	if n, ok := taskv1.ErrorReason_value[e.Reason]; ok && n != 0 && e.Has(taskv1.ErrorReason(n)) {
		known = taskv1.ErrorReason(n).String()
	}
	var retryAfter *float64
	if e.Retry {
		s := e.RetryAfter.Seconds()
		retryAfter = &s
	}
	violations := []map[string]string{}
	for _, v := range e.Violations {
		violations = append(violations, map[string]string{"field": v.Field, "reason": v.Reason, "description": v.Description})
	}
	return map[string]any{
		"code": code.Code(e.Code).String(), "reason": e.Reason, "known": known, "message": e.Message,
		"retryAfterSeconds": retryAfter,
		"requestId":         e.RequestID, "metadata": e.Metadata, "violations": violations,
		"localizedMessage": e.LocalizedMessage,
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
