package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// xGzip is the other name of gzip that servers use.
var xGzip = http.Header{"Content-Encoding": {"X-GZip"}}

func TestFaultsOfAnAnswer(t *testing.T) {
	for name, row := range map[string]struct {
		fault *koodrivetest.Fault
		want  upstream.AnswerFault
	}{
		"cut off":          {&koodrivetest.Fault{Truncate: true}, upstream.Malformed},
		"gzip in name":     {&koodrivetest.Fault{Header: http.Header{"Content-Encoding": {"gzip"}}}, upstream.Malformed},
		"x-gzip in name":   {&koodrivetest.Fault{Header: http.Header{"Content-Encoding": {"x-gzip"}}}, upstream.Malformed},
		"gzip twice":       {&koodrivetest.Fault{Gzip: true, Header: http.Header{"Content-Encoding": {"gzip, x-gzip"}}}, upstream.Malformed},
		"gzip, cut off":    {&koodrivetest.Fault{Gzip: true, Truncate: true, Header: xGzip}, upstream.Malformed},
		"a bomb of x-gzip": {&koodrivetest.Fault{Pad: 50 << 20, Gzip: true, Header: xGzip}, upstream.TooLarge},
		"a byte too large": {&koodrivetest.Fault{Pad: upstream.MaxBody + 1}, upstream.TooLarge},
		"a bomb":           {&koodrivetest.Fault{Pad: 50 << 20, Gzip: true}, upstream.TooLarge},
		"another task":     {&koodrivetest.Fault{TaskID: "1534087020903704705"}, upstream.WrongTask},
		"a large header":   {&koodrivetest.Fault{Header: http.Header{"X-Pad": {strings.Repeat("x", upstream.MaxHeader)}}}, upstream.TooLarge},
		"empty":            {&koodrivetest.Fault{Body: new("")}, upstream.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
				k.SetFault(row.fault)
				var answer *upstream.AnswerError
				if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); !errors.As(err, &answer) || answer.Fault != row.want {
					t.Errorf("got %v, want %v", err, row.want)
				}
			})
		})
	}
}

func TestLargeAnswersPass(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		for _, f := range []*koodrivetest.Fault{{Pad: upstream.MaxBody}, {Gzip: true}, {Gzip: true, Header: xGzip}, {Pad: upstream.MaxBody, Gzip: true, Header: xGzip}} {
			k.SetFault(f)
			if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
				t.Errorf("%+v: %v", f, err)
			}
		}
	})
}

// An overlong body is refused without reading the rest of it, which may never end.
func TestLongBodiesAreNotReadToTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(make([]byte, upstream.MaxBody+1))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}), upstream.Config{})
		var answer *upstream.AnswerError
		if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); !errors.As(err, &answer) || answer.Fault != upstream.TooLarge {
			t.Error(err)
		}
	})
}

func TestAnswersThatTakeTooLong(t *testing.T) {
	for name, fault := range map[string]*koodrivetest.Fault{
		"hangs":         {Hang: true},
		"takes 11 s":    {Latency: 11 * time.Second},
		"drips":         {Drip: time.Second},
		"drips for 15s": {Latency: 9 * time.Second, Drip: 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
				k.SetFault(fault)
				start := time.Now()
				var transport *upstream.TransportError
				if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); !errors.As(err, &transport) || transport.Fault != upstream.TimedOut {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took != upstream.DefaultTimeout {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// A refusal counts although its body cannot be read. Where only the body says what the status means, that is an answer fault.
func TestRefusalsWhoseBodyCannotBeRead(t *testing.T) {
	for _, cut := range []koodrivetest.Fault{{Truncate: true}, {Drip: time.Minute}, {Header: http.Header{"Content-Encoding": {"gzip"}}}, {Header: xGzip}} {
		for status, want := range map[int]int{401: 401, 403: 403, 302: 302, 429: 429, 503: 503, 400: 0, 404: 0} {
			bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
				fault := cut
				fault.Status, fault.Body = status, new(`{"code":13000309}`)
				k.SetFault(&fault)
				_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
				var refused *upstream.StatusError
				if got := errors.As(err, &refused); got != (want != 0) || got && (refused.Status != want || refused.Code != "") {
					t.Errorf("%d, %+v: %v", status, cut, err)
				}
			})
		}
	}
}

// No error quotes an answer: it may be an echo of the request.
func TestErrorsQuoteNothing(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nAuthorization Bearer geheim\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: geheim\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: geheim\r\n\r\n", "geheim", "HTTP/1.1 geheim\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			listener := koodrivetest.Listen()
			c := connect(t, http.NotFoundHandler(), upstream.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				return listener.Dial(ctx, network, address)
			}})
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = http.ReadRequest(bufio.NewReader(conn)) // Otherwise the error may be that the context was cancelled.
				_, _ = io.WriteString(conn, answer)
				_ = conn.Close()
			}()
			_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
			if err == nil || strings.Contains(err.Error(), "geheim") {
				t.Errorf("%q: %v", answer, err)
			}
		})
	}
}
