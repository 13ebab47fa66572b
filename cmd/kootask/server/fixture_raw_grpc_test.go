package server_test

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// rawGRPC makes a GetTask that must fail, with headers sent as they are.
func (s *known) rawGRPC(t *testing.T, c call) verdict {
	t.Helper()
	message, _ := proto.Marshal(&taskv1.GetTaskRequest{TaskId: c.id})
	frame := string([]byte{0, 0, 0, 0, byte(len(message))}) + string(message)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://kootask.test"+taskv1.TaskService_GetTask_FullMethodName, strings.NewReader(frame))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	for i := 0; i < len(c.header); i += 2 {
		r.Header.Add(c.header[i], c.header[i+1])
	}
	client := httpClient(s.grpcPort)
	transport := h2c(client)
	transport.DialContext = s.roomy
	defer transport.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	s.out.response(resp)
	raw, err := base64.RawStdEncoding.DecodeString(resp.Header.Get("Grpc-Status-Details-Bin"))
	st := &spb.Status{}
	if err != nil || proto.Unmarshal(raw, st) != nil {
		t.Fatalf("%v: %v", err, resp.Header)
	}
	return read(t, status.FromProto(st))
}

// roomy connects to the gRPC port through a small buffer: client and server both begin by writing.
func (s *system) roomy(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.grpcPort.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	relay := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = to.Close(), from.Close()
	}
	go relay(conn, far)
	go relay(far, conn)
	return near, nil
}
