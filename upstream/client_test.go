package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// All tests run with a proxy in the environment, which must not be used: connect fails if it is dialled.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		_ = os.Setenv(name, "http://proxy.test:3128")
	}
	goleak.VerifyTestMain(m)
}

const (
	exampleID = "1534087020903704704"
	token     = "0123456789abcdef"
	userID    = "1395497048157130881"
)

var app = &upstream.App{ID: "app-one", Secrets: upstream.FixedSecrets(secret.New("s3cr3t"))}

// bubble runs test in virtual time, with a KooDrive that accepts token and app, and a client for it.
func bubble(t *testing.T, test func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		k.AddToken(token, 0)
		k.AddApp("app-one", "s3cr3t")
		test(t, k, connect(t, k, upstream.Config{}))
	})
}

// connect serves handler in memory, and returns a client for it.
func connect(t *testing.T, handler http.Handler, config upstream.Config) *upstream.Client {
	t.Helper()
	return connectTo(t, handler, koodrivetest.Listen(), config)
}

// connectTo is connect over a listener.
func connectTo(t *testing.T, handler http.Handler, listener *koodrivetest.Listener, config upstream.Config) *upstream.Client {
	t.Helper()
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	if config.Dial == nil {
		config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "koodrive.test:80" {
				t.Errorf("dialled %s", address)
			}
			return listener.Dial(ctx, network, address)
		}
	}
	config.BaseURL, config.AllowHTTP = "http://koodrive.test", true
	c, err := upstream.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = server.Close()
	})
	return c
}

func query(t *testing.T, c *upstream.Client) upstream.Query {
	t.Helper()
	credential, err := upstream.Forward(secret.New("Bearer+"+token), "", "")
	if err != nil {
		t.Fatal(err)
	}
	return prepared(t, c, credential)
}

func signedQuery(t *testing.T, c *upstream.Client) upstream.Query {
	t.Helper()
	credential, err := app.As(userID)
	if err != nil {
		t.Fatal(err)
	}
	return prepared(t, c, credential)
}

// prepared is the question for the example of KooDrive's documents.
func prepared(t *testing.T, c *upstream.Client, credential upstream.Credential) upstream.Query {
	t.Helper()
	q, err := c.Query(credential, exampleID)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestTheDocumentedExample(t *testing.T) {
	bubble(t, func(t *testing.T, _ *koodrivetest.KooDrive, c *upstream.Client) {
		transfer := upstream.TypeTransferAndDeletion
		for name, q := range map[string]upstream.Query{"token": query(t, c), "signature": signedQuery(t, c)} {
			task, err := c.Task(t.Context(), q, upstream.Call{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if task.Type == nil || *task.Type != transfer {
				t.Errorf("%s: type %v", name, task.Type)
			}
			task.Type = nil
			if want := (upstream.Task{
				ID: exampleID, Name: "lym0412normal", TenantID: "d5ac574bd2934a69baa4f23c55daa8d4",
				UserID: userID, Status: upstream.StatusFailed, ResultCode: "18000205",
			}); task != want {
				t.Errorf("%s: %+v, want %+v", name, task, want)
			}
		}
	})
}

func TestNothingButTheAllowListIsSent(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		call := upstream.Call{Language: "zh-CN", Trace: upstream.TraceID{0xab}}
		if _, err := c.Task(t.Context(), query(t, c), call); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); err != nil {
			t.Fatal(err)
		}
		common := []string{"Accept", "Accept-Encoding", "Authorization", "User-Agent", "X-Traceid"}
		for i, want := range [][]string{append(common, "Language"), append(common, "X-Date", "X-User-Id")} {
			r := k.Requests()[i]
			if got := slices.Sorted(maps.Keys(r.Header)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("headers %v, want %v", got, want)
			}
			if r.Method != http.MethodGet || r.Host != "koodrive.test" || r.Path != "/koodrive/ose/v1/task/"+exampleID {
				t.Errorf("sent %s %s %s", r.Method, r.Host, r.Path)
			}
			if id := r.Header.Get("X-Traceid"); len(id) != 58 {
				t.Errorf("X-Traceid %q has %d characters", id, len(id))
			}
		}
		if got := k.Requests()[0].Header.Get("X-Traceid"); !strings.HasPrefix(got, "ab000000000000000000000000000000_") {
			t.Errorf("X-Traceid %q does not begin with the trace", got)
		}
	})
}

func TestBadIDsAndCredentialsAreNotSent(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		credential, err := upstream.Forward(secret.New(token), "", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"", "..", "list", "LIST", "a/b", "a%2fb", "a?b=c", strings.Repeat("x", 65)} {
			var bad *upstream.TaskIDError
			if _, err := c.Query(credential, id); !errors.As(err, &bad) {
				t.Errorf("%q: %v", id, err)
			}
		}
		if _, err := c.Query(upstream.Credential{}, exampleID); err == nil {
			t.Error("a question without a credential")
		}
		if k.Count() != 0 {
			t.Errorf("%d requests were sent", k.Count())
		}
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
			for _, to := range []string{"http://koodrive.test:81/x", "http://other.test/x", "/koodrive/ose/v1/task/9"} {
				f := koodrivetest.RedirectTo(to)
				f.Status = status
				k.SetFault(f)
				before := k.Count()
				var refused *upstream.StatusError
				if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); !errors.As(err, &refused) || refused.Status != status {
					t.Errorf("%d to %s: %v", status, to, err)
				}
				if n := k.Count() - before; n != 1 {
					t.Errorf("%d to %s: %d requests", status, to, n)
				}
			}
		})
	}
}

// xGzip is the other name of gzip, as servers write it.
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

// A body that is too long is known to be so without the rest of it, which may never end.
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

// A refusal is one even if its body does not come; where only the body tells what it means, that is a fault of its own.
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

// What came is in no error: it may be an echo of what was sent.
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
				_, _ = http.ReadRequest(bufio.NewReader(conn)) // Otherwise what is told may be that it was not wanted.
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

func TestWhoLeavesEndsTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		k.SetFault(&koodrivetest.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Task(ctx, query(t, c), upstream.Call{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if r := k.Requests()[0]; r.Ended.IsZero() {
			t.Error("the request goes on")
		}
	})
}

func TestBrokenConnectionsAreNotRetried(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil { // Leaves a connection that is kept alive.
			t.Fatal(err)
		}
		k.SetFault(&koodrivetest.Fault{Reset: true})
		var transport *upstream.TransportError
		if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); !errors.As(err, &transport) || transport.Fault != upstream.Unreachable {
			t.Errorf("got %v", err)
		}
		if k.Count() != 2 {
			t.Errorf("two calls made %d requests", k.Count())
		}
	})
}

func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		c := connect(t, http.NotFoundHandler(), upstream.Config{
			Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused },
		})
		var transport *upstream.TransportError
		if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); !errors.As(err, &transport) || transport.Fault != upstream.Unreachable ||
			!errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v", err)
		}
	})
}

func TestClockIsCorrected(t *testing.T) {
	// koodriveAhead is how far our clock is behind KooDrive's; attempts is how many the first call takes.
	for name, row := range map[string]struct {
		koodriveAhead time.Duration
		attempts      int
		refused       bool
	}{
		"right":           {0, 1, false},
		"1 s fast":        {-time.Second, 1, false},
		"10 s fast":       {-10 * time.Second, 2, false},
		"13 min fast":     {-13 * time.Minute, 2, false},
		"20 min fast":     {-20 * time.Minute, 2, true}, // More than is made up for.
		"1 s slow":        {time.Second, 1, false},
		"14 min slow":     {14 * time.Minute, 1, false},
		"20 min slow":     {20 * time.Minute, 2, false},
		"half a day slow": {12 * time.Hour, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
				k.SetSkew(row.koodriveAhead)
				_, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{})
				var refused *upstream.StatusError
				if isRefused := errors.As(err, &refused); isRefused != row.refused || !row.refused && err != nil {
					t.Errorf("got %v", err)
				}
				if k.Count() != row.attempts {
					t.Errorf("%d attempts, want %d", k.Count(), row.attempts)
				}
				if row.refused {
					return
				}
				before := k.Count()
				if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); err != nil || k.Count() != before+1 {
					t.Errorf("once it is learnt: %v after %d attempts", err, k.Count()-before)
				}
				k.SetSkew(0) // The clock is set right.
				before = k.Count()
				if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); err != nil || k.Count() > before+2 {
					t.Errorf("once it is corrected: %v after %d attempts", err, k.Count()-before)
				}
			})
		})
	}
}

func TestWrongSecretIsNotTriedTwice(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		k.AddApp("app-one", "another")
		var refused *upstream.StatusError
		if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
			t.Errorf("got %v", err)
		}
		if k.Count() != 1 {
			t.Errorf("%d attempts", k.Count())
		}
	})
}

func TestSlowAnswersDoNotSpoilTheClock(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		for range 3 {
			k.SetFault(&koodrivetest.Fault{Latency: 9 * time.Second})
			if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); err != nil {
				t.Fatal(err)
			}
			k.SetFault(nil)
			before := k.Count()
			if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); err != nil || k.Count() != before+1 {
				t.Errorf("after a slow answer: %v after %d attempts", err, k.Count()-before)
			}
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	for _, bad := range []string{
		"", "koodrive", "://", "ftp://koodrive.test", "http://koodrive.test", "https://u:p@koodrive.test", "https://koodrive.test/x",
		"https://koodrive.test?x", "https://koodrive.test#x", "https://", "https://:443", "https://koodrive.test:", "https://koodrive.test:99999", "https://koodrive.test:0",
	} {
		if _, err := upstream.NewClient(upstream.Config{BaseURL: bad}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, good := range []string{"https://koodrive.test", "https://koodrive.test/", "https://KooDrive.test:443"} {
		if _, err := upstream.NewClient(upstream.Config{BaseURL: good}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
