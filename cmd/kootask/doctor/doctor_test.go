package doctor_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/cmd/kootask/doctor"
	"github.com/kootask/kootask/internal/certificates"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// The KooDrive of the documents is as expected, whatever is asked.
func TestDocumentedKooDrive(t *testing.T) {
	for name, row := range map[string]struct {
		config  func(*testing.T, upstream.Config) doctor.Config
		refused int
		asked   int
	}{
		"token":           {withToken, 0, 9},
		"token, refusals": {withFake, 1, 10},
		"token, no user":  {withoutUser, 0, 8},
		"app":             {withApp, 0, 7},
		"app, refusals":   {withAppAndFake, 1, 8},
	} {
		t.Run(name, func(t *testing.T) {
			k := simulated(t, "")
			bubble(t, k, row.config, func(r *doctor.Report, text string) {
				if r.Result != doctor.AsExpected || r.Stopped != "" {
					t.Errorf("%s, %s:\n%s", r.Result, r.Stopped, text)
				}
				if refused := polite(t, k); refused != row.refused {
					t.Errorf("%d requests were refused", refused)
				}
				if k.Count() != row.asked {
					t.Errorf("%d requests:\n%s", k.Count(), text)
				}
			})
		})
	}
}

// A KooDrive that refuses everything gets few questions, and the report says what to do.
func TestRefusal(t *testing.T) {
	for name, row := range map[string]struct {
		config  func(*testing.T, upstream.Config) doctor.Config
		refused int
	}{
		"token": {withToken, 3},
		"app":   {withApp, 6},
	} {
		t.Run(name, func(t *testing.T) {
			k := koodrivetest.New()
			bubble(t, k, row.config, func(r *doctor.Report, text string) {
				if r.Result != doctor.Refused || r.Stopped == "" || r.Accepted() {
					t.Errorf("%s, %s:\n%s", r.Result, r.Stopped, text)
				}
				if refused := polite(t, k); refused != row.refused || k.Count() != refused {
					t.Errorf("%d of %d requests were refused", refused, k.Count())
				}
			})
		})
	}
}

// Each rule that ends an examination, with the number of requests until then.
func TestStops(t *testing.T) {
	answer := koodrivetest.Answer
	for name, row := range map[string]struct {
		fault  *koodrivetest.Fault
		after  int // The requests before the fault.
		result doctor.Result
		asked  int
		why    string
	}{
		"429 at once":            {answer(429, `{"error_code":"APIGW.0308"}`), 0, doctor.Differing, 1, "limits the rate"},
		"429 later":              {answer(429, ""), 2, doctor.Differing, 3, "limits the rate"},
		"403 after an answer":    {answer(403, `{"error_code":"APIGW.0302"}`), 3, doctor.Differing, 4, "forbade question 4"},
		"three refusals":         {answer(400, `{"code":13000999}`), 4, doctor.Differing, 7, "3 questions in a row"},
		"an outage at once":      {answer(503, ""), 0, doctor.Unreachable, 1, "KooDrive fails"},
		"another server":         {answer(200, "<html>hello"), 0, doctor.Unreachable, 1, "not as KooDrive"},
		"another server, 404":    {answer(404, "<html>hello"), 0, doctor.Unreachable, 1, "not as KooDrive"},
		"another answer":         {answer(200, `{"hello":1}`), 0, doctor.Differing, 1, "not the description"},
		"no such task":           {answer(400, `{"code":13000309}`), 0, doctor.Differing, 1, "--task-id"},
		"the connection is lost": {&koodrivetest.Fault{Reset: true}, 4, doctor.Unreachable, 5, "did not answer question 5"},
		"silence":                {&koodrivetest.Fault{Hang: true}, 0, doctor.Unreachable, 1, "timed out"},
	} {
		t.Run(name, func(t *testing.T) {
			k := simulated(t, "")
			bubble(t, breakAfter(k, row.after, row.fault), withToken, func(r *doctor.Report, text string) {
				if r.Result != row.result || !strings.Contains(r.Stopped, row.why) || k.Count() != row.asked {
					t.Errorf("%s after %d requests, %s:\n%s", r.Result, k.Count(), r.Stopped, text)
				}
				polite(t, k)
			})
		})
	}
}

// A KooDrive whose clock differs refuses the first date, and accepts the next one.
func TestClock(t *testing.T) {
	for name, row := range map[string]struct {
		overlay string
		config  func(*testing.T, upstream.Config) doctor.Config
	}{
		"a signature":   {"", withApp},
		"a dated token": {"token: {date: true}", withDate},
	} {
		t.Run(name, func(t *testing.T) {
			k := simulated(t, row.overlay)
			k.SetSkew(-10 * time.Minute)
			bubble(t, k, row.config, func(r *doctor.Report, text string) {
				if r.Result != doctor.AsExpected || !strings.Contains(text, "KooDrive's is 600 s behind") || polite(t, k) != 1 {
					t.Errorf("%s:\n%s", r.Result, text)
				}
			})
		})
	}
}

// The fake token is the only deviation from the accepted form: a KooDrive that checks other headers first refuses the token.
func TestFakeTokenAlone(t *testing.T) {
	for name, config := range map[string]func(*testing.T, upstream.Config) doctor.Config{"token": withFake, "app": withAppAndFake} {
		t.Run(name, func(t *testing.T) {
			k := simulated(t, "token: {user_id: required}")
			first := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-User-Id") == "" || name == "app" && r.Header.Get("X-Date") == "" {
					w.WriteHeader(http.StatusBadRequest)
					_, _ = io.WriteString(w, `{"code":13000102}`)
					return
				}
				k.ServeHTTP(w, r)
			})
			bubble(t, first, config, func(r *doctor.Report, text string) {
				for _, a := range r.Questions {
					if a.Name == "fake" && (a.Verdict != doctor.Same || a.Status != http.StatusUnauthorized) {
						t.Errorf("%s, %d %s:\n%s", a.Verdict, a.Status, a.Code, text)
					}
				}
				if written := string(r.Overlay(parse(t, ""))); strings.Contains(written, "\ncodes:") {
					t.Errorf("it wrote\n%s", written)
				}
			})
		})
	}
}

// Numbers in headers about the rate are reported, and nothing else of them.
func TestLimits(t *testing.T) {
	k := simulated(t, "")
	limited := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ratelimit-Remaining", "99 of "+token)
		w.Header().Set("X-Apig-Ratelimit-Api", "remain:7,limit:10,time:1 minute")
		w.Header().Set("X-Ratelimit-Limit", koodrivetest.Example().UserID)
		k.ServeHTTP(w, r)
	})
	bubble(t, limited, withToken, func(r *doctor.Report, text string) {
		if r.Limits["X-Apig-Ratelimit-Api"] != "7 10 1" || r.Limits["X-Ratelimit-Limit"] != "" {
			t.Errorf("%q:\n%s", r.Limits, text)
		}
	})
}

// A server that repeats what it got, or what it knows, as error codes and names of fields, does not get it into the report.
func TestEcho(t *testing.T) {
	k := simulated(t, "")
	example := koodrivetest.Example()
	n := 0
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 1 {
			k.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		if n%2 == 0 {
			_, _ = io.WriteString(w, `{"code":"`+example.UserID+`"}`)
			return
		}
		_, _ = io.WriteString(w, `{"`+example.TenantID+`":1,"`+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+
			`":1,"`+example.Name+`":2}`)
	})
	bubble(t, echo, withToken, func(r *doctor.Report, text string) {
		if n < 3 || r.Result != doctor.Differing {
			t.Errorf("%d requests, %s:\n%s", n, r.Result, text)
		}
	})
}

// Short ids and names do not hide codes, in which they occur by chance.
func TestShortNames(t *testing.T) {
	k := simulated(t, "")
	task := koodrivetest.Example()
	task.Name, task.TenantID, task.UserID = "s", "3", "09"
	k.SetTask(task)
	bubble(t, k, withToken, func(r *doctor.Report, text string) {
		if r.Questions[0].Shape == "…" || !strings.Contains(text, "13000309") {
			t.Errorf("codes and shapes are hidden:\n%s", text)
		}
	})
}

// The step at which a connection fails is named.
func TestSteps(t *testing.T) {
	ca := certificates.NewCA()
	overTLS := func(c *certificates.Certificate) string {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{c.TLS}, MinVersion: tls.VersionTLS12}
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for name, row := range map[string]struct {
		config upstream.Config
		step   string
		says   string
	}{
		"no name":       {upstream.Config{BaseURL: "https://koodrive.test", Dial: refusing(&net.DNSError{Err: "no such host"})}, "dns", "has no address"},
		"nobody":        {upstream.Config{BaseURL: "https://koodrive.test", Dial: refusing(refused)}, "tcp", "nothing listens"},
		"expired":       {upstream.Config{BaseURL: overTLS(ca.Issue(certificates.Spec{SANs: []string{"IP:127.0.0.1"}, NotAfter: time.Now().Add(-time.Hour)}))}, "tls", "has expired"},
		"another name":  {upstream.Config{BaseURL: overTLS(ca.Server("another.example"))}, "tls", "is not for 127.0.0.1"},
		"untrusted":     {upstream.Config{BaseURL: overTLS(certificates.NewCA().Server("127.0.0.1"))}, "tls", "not trusted"},
		"plaintext":     {upstream.Config{BaseURL: secure(plain.URL)}, "tls", "does not speak TLS"},
		"no tunnel":     {upstream.Config{BaseURL: "https://koodrive.test", Proxy: at(t, plain.URL)}, "proxy", "does not forward. Check --upstream-proxy"},
		"no proxy":      {upstream.Config{BaseURL: "https://koodrive.test", Proxy: at(t, "http://127.0.0.1:1")}, "tcp", "nothing listens on the port. Check --upstream-proxy"},
		"no TLS":        {upstream.Config{BaseURL: "https://koodrive.test", Proxy: at(t, secure(plain.URL))}, "proxy", "does not speak TLS. Check the port in --upstream-proxy"},
		"no TLS,":       {upstream.Config{BaseURL: "http://koodrive.test", AllowHTTP: true, Proxy: at(t, secure(plain.URL))}, "proxy", "does not speak TLS. Check the port in --upstream-proxy"},
		"not KooDrive":  {upstream.Config{BaseURL: overTLS(ca.Server("127.0.0.1"))}, "answer", "not as KooDrive"},
		"not KooDrive,": {upstream.Config{BaseURL: plain.URL, AllowHTTP: true}, "answer", "not as KooDrive"},
	} {
		t.Run(name, func(t *testing.T) {
			pool := ca.Pool()
			row.config.RootCAs = func() *x509.CertPool { return pool }
			r, text := examine(t, withToken(t, row.config))
			if r.Result != doctor.Unreachable || !strings.Contains(r.Stopped, "the step "+row.step+" failed") || !strings.Contains(strings.Join(strings.Fields(text), " "), row.says) {
				t.Errorf("%s, %s:\n%s", r.Result, r.Stopped, text)
			}
			if i := slices.IndexFunc(r.Steps, func(s doctor.Step) bool { return s.Verdict == doctor.Differs }); i >= 0 && r.Steps[i].Name != row.step {
				t.Errorf("%s failed", r.Steps[i].Name)
			}
		})
	}
}

// Without a tunnel, only a request shows whether a proxy forwards.
func TestProxyOfPlaintext(t *testing.T) {
	for address, verdict := range map[string]doctor.Verdict{"http://koodrive.test": doctor.NotAsked, "https://koodrive.test": doctor.Same} {
		steps := doctor.Steps(upstream.Reach{}, upstream.Config{BaseURL: address, Proxy: at(t, "https://proxy.test")})
		i := slices.IndexFunc(steps, func(s doctor.Step) bool { return s.Name == upstream.StepProxy })
		if i < 0 || steps[i].Verdict != verdict {
			t.Errorf("%s: %+v", address, steps)
		}
	}
}

// secure returns an http address as https.
func secure(address string) string { return strings.Replace(address, "http:", "https:", 1) }

// at parses an address.
func at(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// An examination ends with its context.
func TestInterruption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := simulated(t, "")
		k.SetFault(&koodrivetest.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		r, err := doctor.Run(ctx, withToken(t, serve(t, k)))
		if err == nil || r == nil || k.Count() != 1 {
			t.Errorf("%v after %d requests", err, k.Count())
		}
	})
}
