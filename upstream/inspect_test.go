package upstream_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// An inspection sees the answer, and changes its own request alone.
func TestInspection(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		k.SetSkew(time.Minute)
		var seen []upstream.Exchange
		inspect := func(i upstream.Inspection) error {
			i.Seen = func(e upstream.Exchange) { seen = append(seen, e) }
			_, err := c.Task(t.Context(), query(t, c), upstream.Call{Inspect: &i})
			return err
		}
		if err := inspect(upstream.Inspection{Untraced: true}); err != nil {
			t.Error(err)
		}
		if err := inspect(upstream.Inspection{Dialect: &upstream.Dialect{TokenPrefix: "Bearer+"}}); err == nil {
			t.Error("KooDrive's stand-in accepts the other prefix")
		}
		if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
			t.Error(err)
		}
		sent := k.Requests()
		if len(sent) != 3 || len(seen) != 2 {
			t.Fatalf("%d requests, %d seen", len(sent), len(seen))
		}
		if _, traced := sent[0].Header["X-Traceid"]; traced || sent[1].Header.Get("X-Traceid") == "" {
			t.Errorf("X-Traceid is %q and then %q", sent[0].Header["X-Traceid"], sent[1].Header["X-Traceid"])
		}
		if got := sent[1].Header.Get("Authorization"); got != "Bearer+"+token {
			t.Errorf("it sent %s", got)
		}
		first, second := seen[0], seen[1]
		if first.Status != 200 || second.Status != 401 || first.HTTP != "HTTP/1.1" || first.Reused || !second.Reused {
			t.Errorf("%+v, %+v", first, second)
		}
		if !first.Dated || first.Ahead != time.Minute || first.Shape != "fields: taskId:string taskName:string taskType:number "+
			"tenantId:string userId:string status:number resultCode:string code:number msg:string" {
			t.Errorf("%+v", first)
		}
	})
}

// Its request is sent once: neither with another date nor with a second secret.
func TestInspectionIsSentOnce(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		k.SetSkew(-time.Hour)
		var seen []upstream.Exchange
		inspection := &upstream.Inspection{Seen: func(e upstream.Exchange) { seen = append(seen, e) }}
		if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{Inspect: inspection}); err == nil {
			t.Error("it is accepted")
		}
		if k.Count() != 1 || len(seen) != 1 || !seen[0].Misdated {
			t.Errorf("%d requests, %+v", k.Count(), seen)
		}
	})
}

func TestReach(t *testing.T) {
	address, pool := serveTLS(t, 0, 0)
	reach := func(config upstream.Config) upstream.Reach {
		c, err := upstream.NewClient(config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Reach(t.Context())
	}
	r := reach(upstream.Config{BaseURL: address, RootCAs: always(pool)})
	if r.Failed != "" || r.Err != nil || r.Version != "TLS 1.3" || r.Protocol != "h2" || r.Certificate == nil || r.TCP <= 0 || r.TLS <= 0 {
		t.Errorf("%+v", r)
	}
	if r := reach(upstream.Config{BaseURL: address}); r.Failed != upstream.StepTLS || r.Certificate == nil {
		t.Errorf("with the system's roots: %+v", r)
	}
	if r := reach(upstream.Config{BaseURL: "https://127.0.0.1:1"}); r.Failed != upstream.StepTCP {
		t.Errorf("no listener: %+v", r)
	}
	unknown := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host"}
	}
	if r := reach(upstream.Config{BaseURL: "https://koodrive.test", Dial: unknown}); r.Failed != upstream.StepDNS {
		t.Errorf("no name: %+v", r)
	}
	// A plaintext KooDrive's requests go to the proxy, whose TLS begins before them.
	proxied := func(proxy string) upstream.Reach {
		at, err := url.Parse(proxy)
		if err != nil {
			t.Fatal(err)
		}
		return reach(upstream.Config{BaseURL: "http://koodrive.test", AllowHTTP: true, Proxy: at, RootCAs: always(pool)})
	}
	if r := proxied(address); r.Failed != "" || r.TCP <= 0 {
		t.Errorf("an https proxy: %+v", r)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	if r := proxied(strings.Replace(plain.URL, "http:", "https:", 1)); r.Failed != upstream.StepProxy {
		t.Errorf("an https proxy without TLS: %+v", r)
	}
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		if r := c.Reach(t.Context()); r.Failed != "" || k.Count() != 0 {
			t.Errorf("in plaintext: %+v, %d requests", r, k.Count())
		}
	})
}

// Nor is it sent again if KooDrive reports it as unprocessed, or if a kept-alive connection ends.
func TestUnprocessedInspection(t *testing.T) {
	for name, refuse := range map[string]func(p *peer, stream uint32){
		"REFUSED_STREAM": func(p *peer, stream uint32) { p.reset(stream, refusedStream) },
		"GOAWAY":         func(p *peer, stream uint32) { p.goAway(stream - 1) },
		"hung up":        func(p *peer, _ uint32) { p.hangUp() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int32
				c := overFrames(t, upstream.Config{}, func(p *peer, stream uint32, _ byte) {
					if n.Add(1) > 1 {
						refuse(p, stream)
						return
					}
					p.answer(stream)
				})
				if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
					t.Fatal(err)
				}
				call := upstream.Call{Resend: true, Inspect: &upstream.Inspection{Seen: func(upstream.Exchange) { t.Error("it saw an answer") }}}
				if _, err := c.Task(t.Context(), query(t, c), call); err == nil || n.Load() != 2 {
					t.Errorf("%v after %d requests", err, n.Load())
				}
			})
		})
	}
}
