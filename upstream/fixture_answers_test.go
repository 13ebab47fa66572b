package upstream

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/kootask/kootask/internal/secret"
)

// answers answers each request on conn with the same text. It does not allocate, so that a test measures only the
// client.
func answers(conn net.Conn, answer []byte) {
	defer func() { _ = conn.Close() }()
	request := make([]byte, 8<<10)
	for read := 0; ; {
		n, err := conn.Read(request[read:])
		if err != nil {
			return
		}
		if read += n; !bytes.HasSuffix(request[:read], []byte("\r\n\r\n")) {
			continue
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
		read = 0
	}
}

// asker returns a function that requests a task from a KooDrive that dial reaches.
func asker(tb testing.TB, dial func(ctx context.Context, network, address string) (net.Conn, error)) func() error {
	tb.Helper()
	c, err := NewClient(Config{BaseURL: "http://koodrive.test", AllowHTTP: true, PerSecond: 1 << 30, Dial: dial})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	credential, err := Forward(secret.New("Bearer token"), "", "")
	if err != nil {
		tb.Fatal(err)
	}
	q, err := c.Query(credential, id)
	if err != nil {
		tb.Fatal(err)
	}
	return func() error {
		_, err := c.Task(tb.Context(), q, Call{Queue: q.Caller()})
		return err
	}
}

// usualAnswer is an answer about the task id.
func usualAnswer() []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: application/json\r\n"+
		"Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n%s", len(usualBody), usualBody)
}

const usualBody = `{"taskId":"` + id + `","taskName":"copy","taskType":0,"tenantId":"tenant-0001","userId":"user-000042",` +
	`"status":1,"resultCode":"","code":0,"msg":"Success."}`
