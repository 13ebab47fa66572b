package upstream_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/internal/version"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestTheDocumentedExample(t *testing.T) {
	transfer := upstream.TypeTransferAndDeletion
	for name, prepare := range map[string]func(*testing.T, *upstream.Client) upstream.Query{"token": query, "signature": signedQuery} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, _ *koodrivetest.KooDrive, c *upstream.Client) {
				task, err := c.Task(t.Context(), prepare(t, c), upstream.Call{})
				if err != nil {
					t.Fatal(err)
				}
				if task.Type == nil || *task.Type != transfer {
					t.Errorf("type %v", task.Type)
				}
				task.Type, task.SentType = nil, nil
				if want := (upstream.Task{
					ID: exampleID, Name: "lym0412normal", TenantID: "d5ac574bd2934a69baa4f23c55daa8d4",
					UserID: userID, Status: upstream.StatusFailed, SentStatus: upstream.StatusFailed, ResultCode: "18000205",
				}); task != want {
					t.Errorf("%+v, want %+v", task, want)
				}
			})
		})
	}
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
			if agent := r.Header.Get("User-Agent"); agent != "kootask/"+version.String() {
				t.Errorf("User-Agent %q", agent)
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

func TestCancelledCallEndsTheRequest(t *testing.T) {
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
		if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil { // Leaves a kept-alive connection.
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

// A request that was checked before does not check Retry-After before the queue. After the queue, it does.
func TestCheckedRequestsArePausedAfterTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		q := query(t, c)
		k.SetFault(koodrivetest.Throttled("30"))
		if _, err := c.Task(t.Context(), q, upstream.Call{Queue: q.Caller()}); err == nil {
			t.Fatal("KooDrive did not limit the rate")
		}
		var refused *upstream.StatusError
		for _, checked := range []bool{false, true} {
			before := k.Count()
			_, err := c.Task(t.Context(), q, upstream.Call{Queue: q.Caller(), Checked: checked})
			if !errors.As(err, &refused) || refused.RetryAfter != 30*time.Second || k.Count() != before {
				t.Errorf("checked %v: %v after %d requests", checked, err, k.Count()-before)
			}
		}
	})
}
