package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/certificates"
)

// received is a call that the stub must get.
type received struct {
	// Metadata are required values of the call's metadata. An empty value means that the key must be absent.
	Metadata map[string]string
	// Request is the request of the call. The ids of a list are compared without their order. Tasks is their number; 0: any.
	Request json.RawMessage
	Tasks   int
	// After is the time since the previous call.
	After *between
}

// call is a call that the stub got.
type call struct {
	metadata metadata.MD
	request  proto.Message
	at       time.Time
}

// stub is a TaskService that follows a scenario.
type stub struct {
	taskv1.UnimplementedTaskServiceServer
	script   [][]step
	listener net.Listener
	server   *grpc.Server
	trusted  string // File of the authority that the client trusts. Empty: it does not use TLS.

	mu    sync.Mutex // Guards the fields below.
	calls []call
	open  int                 // Calls that have not ended.
	conns map[string]net.Conn // By the client's address.
	away  int                 // Number of the next connections to close at once.
	holds net.Conn            // Not nil: nobody listens, and this connection's local address is the scenario's.
}

func newStub(ctx context.Context, s scenario) (*stub, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var authority *certificates.CA
	if s.TLS || s.Trust {
		authority = certificates.NewCA()
	}
	var options []grpc.ServerOption
	if s.TLS {
		certificate := authority.Server("127.0.0.1").TLS
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	}
	w := &stub{script: s.Stub, listener: listener, server: grpc.NewServer(options...), conns: map[string]net.Conn{}}
	if s.Trust {
		dir, err := os.MkdirTemp("", "conformance")
		if err != nil {
			return nil, err
		}
		w.trusted = authority.WriteFile(dir)
	}
	if s.Nobody {
		w.holds, err = (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
		return w, err
	}
	taskv1.RegisterTaskServiceServer(w.server, w)
	go func() { _ = w.server.Serve(recorder{listener, w}) }()
	return w, nil
}

// recorder records the accepted connections.
type recorder struct {
	net.Listener
	stub *stub
}

func (r recorder) Accept() (net.Conn, error) {
	for {
		conn, err := r.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if r.stub.takes(conn) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// takes reports whether to keep a connection.
func (w *stub) takes(conn net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away > 0 {
		w.away--
		return false
	}
	w.conns[conn.RemoteAddr().String()] = conn
	return true
}

func (w *stub) addr() string {
	if w.holds != nil {
		return w.holds.LocalAddr().String()
	}
	return w.listener.Addr().String()
}

func (w *stub) caFile() string { return w.trusted }

func (w *stub) change(context.Context, act) error { return fmt.Errorf("a stub does not change") }

func (w *stub) close() {
	w.server.Stop()
	_ = w.listener.Close()
	if w.holds != nil {
		_ = w.holds.Close()
	}
	if w.trusted != "" {
		_ = os.RemoveAll(filepath.Dir(w.trusted))
	}
}

func (w *stub) GetTask(ctx context.Context, req *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	response := &taskv1.GetTaskResponse{}
	err := w.play(ctx, req, nil, func(event *taskv1.WatchTasksResponse) error {
		response.Task = event.GetTask()
		return nil
	})
	return response, err
}

func (w *stub) WatchTask(req *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
	return w.play(stream.Context(), req, nil, func(event *taskv1.WatchTasksResponse) error {
		response := &taskv1.WatchTaskResponse{}
		switch e := event.GetEvent().(type) {
		case *taskv1.WatchTasksResponse_Task:
			response.Event = &taskv1.WatchTaskResponse_Task{Task: e.Task}
		case *taskv1.WatchTasksResponse_Heartbeat:
			response.Event = &taskv1.WatchTaskResponse_Heartbeat{Heartbeat: e.Heartbeat}
		}
		return stream.Send(response)
	})
}

func (w *stub) WatchTasks(req *taskv1.WatchTasksRequest, stream grpc.ServerStreamingServer[taskv1.WatchTasksResponse]) error {
	if err := stream.SetHeader(metadata.Pairs("x-request-id", stubRequestID)); err != nil {
		return err
	}
	return w.play(stream.Context(), req, req.GetTaskIds(), stream.Send)
}

// play performs the steps of a call, whose request has these ids if it is one of a list.
func (w *stub) play(ctx context.Context, request proto.Message, ids []string, send func(*taskv1.WatchTasksResponse) error) error {
	md, _ := metadata.FromIncomingContext(ctx)
	w.mu.Lock()
	steps := w.script[min(len(w.calls), len(w.script)-1)]
	w.calls = append(w.calls, call{md, request, time.Now()})
	w.open++
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open--
	}()
	for _, s := range steps {
		switch {
		case s.Failure != nil:
			return s.Failure.err()
		case s.Cut != nil:
			w.cut(ctx, *s.Cut)
			<-ctx.Done()
			return ctx.Err()
		case s.Silence != nil:
			<-ctx.Done()
			return ctx.Err()
		case s.Calls > 0:
			if err := w.await(ctx, func() bool { return len(w.calls) >= s.Calls }); err != nil {
				return err
			}
			continue
		}
		events, err := s.events(ids)
		if err != nil {
			return err
		}
		for _, event := range events {
			if err := send(event); err != nil {
				return err
			}
		}
	}
	return nil
}

// await waits until a condition holds, which is called with the lock held.
func (w *stub) await(ctx context.Context, holds func() bool) error {
	return until(ctx, func() (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return holds(), nil
	})
}

// cut closes the connection of a call, a moment after the last message, and subsequent ones as they come.
func (w *stub) cut(ctx context.Context, others int) {
	<-time.After(time.Second) // By then the client has read the message.
	from, _ := peer.FromContext(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = others
	_ = w.conns[from.Addr.String()].Close()
}

// settle waits, if the scenario is Quiet, until all calls have ended. It compares the calls that the stub got with the
// expected ones.
func (w *stub) settle(ctx context.Context, s scenario) error {
	if s.Quiet {
		ctx, cancel := context.WithTimeout(ctx, 10*quiet)
		defer cancel()
		if err := w.await(ctx, func() bool { return w.open == 0 }); err != nil {
			return fmt.Errorf("a call has not ended: %w", err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.Received == nil {
		return nil
	}
	if len(w.calls) != len(s.Received) {
		return fmt.Errorf("the server got %d calls, and not %d", len(w.calls), len(s.Received))
	}
	calls := slices.Clone(w.calls)
	for i, want := range s.Received {
		if s.AnyOrder {
			if n := slices.IndexFunc(calls[i:], func(c call) bool { return want.matches(c) == nil }); n > 0 {
				calls[i], calls[i+n] = calls[i+n], calls[i]
			}
		}
		if err := want.matches(calls[i]); err != nil {
			return fmt.Errorf("call %d %w", i+1, err)
		}
		if want.After != nil && i > 0 {
			after := calls[i].at.Sub(calls[i-1].at).Seconds()
			if err := want.After.holds(&after); err != nil {
				return fmt.Errorf("call %d comes after %w", i+1, err)
			}
		}
	}
	return nil
}

// matches returns nil if the call is as required, and otherwise an error with the difference. It does not compare the time.
func (r received) matches(got call) error {
	for key, value := range r.Metadata {
		if all := strings.Join(got.metadata.Get(key), ", "); all != value {
			return fmt.Errorf("has %s: %q, and not %q", key, all, value)
		}
	}
	list, isList := got.request.(*taskv1.WatchTasksRequest)
	if r.Tasks > 0 && len(list.GetTaskIds()) != r.Tasks {
		return fmt.Errorf("has %d ids, and not %d", len(list.GetTaskIds()), r.Tasks)
	}
	if r.Request == nil {
		return nil
	}
	request := proto.Clone(got.request)
	proto.Reset(request)
	if err := protojson.Unmarshal(r.Request, request); err != nil {
		return err
	}
	same := proto.Equal(request, got.request)
	if isList {
		same = sameIDs(request.(*taskv1.WatchTasksRequest).GetTaskIds(), list.GetTaskIds())
	}
	if !same {
		return fmt.Errorf("has the request %v, and not %v", got.request, request)
	}
	return nil
}
