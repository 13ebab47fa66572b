package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

const (
	ndjson = "application/x-ndjson"
	sse    = "text/event-stream"
)

// door is an entry for streams: a connection to the gRPC port, or the HTTP port with an Accept header.
type door struct {
	surface string // "grpc", ndjson or sse.
	conn    *grpc.ClientConn
	client  *http.Client
	base    string
}

func grpcDoor(t *testing.T, address string) door {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return door{surface: "grpc", conn: conn}
}

func httpDoor(address, surface string) door {
	return door{surface: surface, client: &http.Client{Transport: &http.Transport{}}, base: "http://" + address}
}

func (d door) close() {
	if d.conn != nil {
		_ = d.conn.Close()
		return
	}
	d.client.CloseIdleConnections()
}

// event is an event of a stream.
type event struct {
	name   string         // task, heartbeat, end or failure; broken if the stream was not ended by kootask.
	status *status.Status // Of a failure.
	wait   string         // The retry field of a server-sent event.
	err    error          // Why it is broken.
}

func (e event) String() string {
	if e.status != nil {
		return fmt.Sprint(e.name, ": ", e.status)
	}
	return fmt.Sprint(e.name, ": ", e.err)
}

// watch passes on each event of a stream, until it has ended.
func (d door) watch(ctx context.Context, token, id string, each func(event)) {
	watch := d.watchHTTP
	if d.conn != nil {
		watch = d.watchGRPC
	}
	if err := watch(ctx, token, id, each); err != nil {
		each(event{name: "broken", err: err})
	}
}

func (d door) watchGRPC(ctx context.Context, token, id string, each func(event)) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	stream, err := taskv1.NewTaskServiceClient(d.conn).WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: id})
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			each(event{name: "end"})
			return nil
		case err != nil:
			each(event{name: "failure", status: status.Convert(err)})
			return nil
		case m.GetTask() != nil:
			each(event{name: "task"})
		default:
			each(event{name: "heartbeat"})
		}
	}
}

func (d door) watchHTTP(ctx context.Context, token, id string, each func(event)) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+"/v1/tasks/"+id+":watch", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", d.surface)
	resp, err := d.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s, %w", resp.Status, body, err)
	}
	var e event
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" { // A stream that was cut off ends with another error.
			return nil
		}
		if err != nil {
			return err
		}
		complete, err := e.read(d.surface, strings.TrimSuffix(line, "\n"))
		if err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
		if complete {
			each(e)
			e = event{}
		}
	}
}

// read takes one more line of an event, and reports whether it was the last one.
func (e *event) read(surface, line string) (complete bool, err error) {
	field, value, _ := strings.Cut(line, ": ")
	switch {
	case surface == ndjson:
		var object map[string]json.RawMessage
		err = json.Unmarshal([]byte(line), &object)
		for name, data := range object {
			e.name = name
			err = errors.Join(err, e.readData(string(data)))
		}
		return true, err
	case line == "":
		return true, nil
	case field == "event":
		e.name = value
	case field == "retry":
		e.wait = value
	case field == "data":
		return false, e.readData(value)
	}
	return false, nil
}

func (e *event) readData(data string) error {
	if e.name != "failure" {
		return nil
	}
	st := &spb.Status{}
	err := protojson.Unmarshal([]byte(data), st)
	e.status = status.FromProto(st)
	return err
}
