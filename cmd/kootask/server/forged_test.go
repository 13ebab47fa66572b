package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
)

// from returns the system as seen from an address, with connections of its own.
func (s *known) from(t *testing.T, address string) *known {
	t.Helper()
	s.comeFrom(address)
	client := &system{
		koodrive: s.koodrive, grpcPort: s.grpcPort, httpPort: s.httpPort, http: httpClient(s.httpPort), log: s.log, out: s.out,
	}
	client.http.Transport.(*http.Transport).MaxConnsPerHost = 1
	client.conn = s.dial(t)
	client.tasks = taskv1.NewTaskServiceClient(client.conn)
	// The address is set when a connection is accepted, so both connections are made now.
	_, _ = client.tasks.GetTask(t.Context(), &taskv1.GetTaskRequest{TaskId: taskID})
	client.get(t, request(t.Context(), t, "/openapi.json"))
	t.Cleanup(client.http.CloseIdleConnections)
	return &known{system: client, mode: s.mode, issuer: s.issuer}
}

// Four thousand forged tokens cost honest callers and KooDrive nothing, and the issuer next to nothing. Their sender is
// rate-limited.
func TestForgedTokensHarmNobody(t *testing.T) {
	t.Parallel()
	const forged, honest, peers = 4_000, 200, 4
	limited := func(c *server.Config) { c.Auth.FailuresPerPeer = 0 }
	bubbleKnown(t, modes["caller"], limited, func(t *testing.T, s *known) {
		clients := make([]*known, peers)
		for i := range clients {
			clients[i] = s.from(t, fmt.Sprintf("192.0.2.%d:1", i+1))
		}
		tokens := []string{
			s.jwt(nil, issuertest.Alg("EdDSA"), issuertest.Forged()), s.jwt(nil, issuertest.Alg("ES256"), issuertest.Forged()),
			s.jwt(nil, issuertest.Unsigned()), junk,
		}
		good := s.jwt(nil, issuertest.Alg("EdDSA"))
		var mu sync.Mutex
		told := map[string]int{}
		begin, audits := time.Now(), s.audits()
		var all sync.WaitGroup
		for worker := range 20 {
			all.Go(func() {
				for i := worker; i < forged+honest; i += 20 {
					client, door := clients[i/20%peers], doors[i/80%len(doors)]
					if i >= forged/2 && i < forged/2+honest {
						client.succeed(t, getDoors[i%3], s.mode.call(exampleID, "Bearer "+good))
						continue
					}
					bad := tokens[i%len(tokens)]
					if i%2 == 1 { // Each names a key that does not exist.
						bad = s.jwt(nil, issuertest.Alg("EdDSA"), issuertest.Header("kid", "unknown-"+strconv.Itoa(i)))
					}
					v := client.fail(t.Context(), t, door, s.mode.call(exampleID, "Bearer "+bad))
					if limited := v.reason == "CALLER_LIMIT_REACHED"; limited &&
						(v.code != codes.ResourceExhausted || v.metadata["limitName"] != "failed-per-peer" || v.metadata["limitValue"] != "20") ||
						limited != (v.retry != nil) {
						t.Errorf("%s: %+v", door, v)
					}
					mu.Lock()
					told[v.reason]++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if took := time.Since(begin); took > auth.KeysApart {
			t.Fatalf("it took %v", took)
		}
		// Each peer may fail 200 times at once, and 20 times per second; the rest are refused.
		most := peers * (200 + int(20*time.Since(begin).Seconds()) + 1)
		if told["CALLER_UNAUTHENTICATED"] > most || told["CALLER_UNAUTHENTICATED"] < peers*200 ||
			told["CALLER_UNAUTHENTICATED"]+told["CALLER_LIMIT_REACHED"] != forged {
			t.Errorf("they got %v", told)
		}
		if n := len(s.issuer.Fetches(issuertest.Keys)); n != 1 {
			t.Errorf("the keys were fetched %d times", n)
		}
		if n := s.koodrive.Count(); n > honest {
			t.Errorf("KooDrive got %d requests", n)
		}
		if n := s.audits() - audits; n != forged+honest {
			t.Errorf("%d decisions were logged", n)
		}
		// A sender that goes on causes no more fetches than allowed, and may authenticate again after a while.
		for range 10 {
			time.Sleep(auth.KeysApart / 3)
			v := s.fail(t.Context(), t, "rest", s.mode.call(exampleID, "Bearer "+s.jwt(nil, issuertest.Header("kid", "x"))))
			if v.reason != "CALLER_UNAUTHENTICATED" {
				t.Errorf("%+v", v)
			}
		}
		fetches := s.issuer.Fetches(issuertest.Keys)
		for i := range fetches[1:] {
			if apart := fetches[i+1].Sub(fetches[i]); apart < auth.KeysApart {
				t.Errorf("the keys were fetched after %v", apart)
			}
		}
		if len(fetches) < 3 {
			t.Errorf("the keys were fetched %d times", len(fetches))
		}
	})
}

// An issuer that publishes a key 30 s before it uses it, and the old key as long as tokens last, causes no failed call,
// even while forged tokens use up the fetches.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	bubbleKnown(t, modes["caller"], nil, func(t *testing.T, s *known) {
		old := "Bearer " + s.jwt(map[string]any{"exp": time.Now().Add(time.Hour).Unix()}, issuertest.Alg("ES256"))
		var made string // The new key.
		forge := func() {
			v := s.fail(t.Context(), t, "rest", s.mode.call(exampleID, "Bearer "+s.jwt(nil, issuertest.Alg("EdDSA"), issuertest.Header("kid", "x"))))
			if v.reason != "CALLER_UNAUTHENTICATED" {
				t.Errorf("%+v", v)
			}
		}
		var published time.Time
		for i := range 120 { // One per second.
			switch i {
			case 40:
				keys := s.issuer.KeySet()
				s.issuer.Rotate()
				s.issuer.Handle(issuertest.Keys, issuertest.JSON(map[string]any{"keys": append(keys, s.issuer.KeySet()...)}))
				published = time.Now()
				made = "Bearer " + s.jwt(map[string]any{"exp": time.Now().Add(time.Hour).Unix()}, issuertest.Alg("ES256"))
			case 90:
				s.issuer.Handle(issuertest.Keys, nil) // The old key is withdrawn, and forgotten with the next fetch.
			}
			forge()
			var all sync.WaitGroup
			for range 5 {
				for _, door := range []string{"grpc get", "rest"} {
					all.Go(func() {
						if i < 90 {
							s.succeed(t, door, s.mode.call(exampleID, old))
						}
						if i > 40 && time.Since(published) >= auth.KeysApart {
							s.succeed(t, door, s.mode.call(exampleID, made))
						}
					})
				}
			}
			all.Wait()
			time.Sleep(time.Second)
		}
		time.Sleep(auth.KeysApart)
		forge()
		for _, door := range callerDoors {
			if v := s.fail(t.Context(), t, door, s.mode.call(exampleID, old)); v.reason != "CALLER_UNAUTHENTICATED" {
				t.Errorf("%s: the key that is gone: %+v", door, v)
			}
		}
	})
}

// If the issuer is down when the server starts, callers can authenticate as soon as the issuer is back and may be fetched again.
func TestIssuerThatIsDown(t *testing.T) {
	t.Parallel()
	for name, m := range modes {
		for fault, handler := range map[string]http.HandlerFunc{
			"503": issuertest.Status(http.StatusServiceUnavailable), "hangs": issuertest.Hang,
			"lies": issuertest.JSON(map[string]any{"issuer": "https://other.test", "jwks_uri": "https://issuer.test/keys"}),
		} {
			t.Run(name+"/"+fault, func(t *testing.T) {
				bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
					s.issuer.Handle(issuertest.Discovery, handler)
					var wait time.Duration
					for _, door := range callerDoors {
						v := s.fail(t.Context(), t, door, m.call(exampleID, s.good()))
						if v.code != codes.Unavailable || v.reason != "SERVER_OVERLOADED" || v.http != 0 && v.http != http.StatusServiceUnavailable || v.retry == nil {
							t.Errorf("%s: %+v", door, v)
						}
						if wait = v.retry.GetRetryDelay().AsDuration(); wait > auth.KeysApart*11/10 {
							t.Errorf("%s: the retry delay is %v", door, wait)
						}
					}
					if n := len(s.issuer.Fetches(issuertest.Discovery)); n != 1 || s.koodrive.Count() != 0 || s.audits() != len(callerDoors) {
						t.Errorf("the issuer got %d requests, KooDrive %d; %d decisions", n, s.koodrive.Count(), s.audits())
					}
					s.issuer.Handle(issuertest.Discovery, nil)
					time.Sleep(wait)
					for _, door := range callerDoors {
						s.succeed(t, door, m.call(exampleID, s.good()))
					}
					for _, fault := range []http.HandlerFunc{issuertest.Status(http.StatusServiceUnavailable), issuertest.Hang} {
						s.issuer.Handle("", fault) // Known keys stay valid.
						time.Sleep(time.Hour + auth.KeysApart/10)
						begin := time.Now()
						for _, door := range callerDoors {
							s.succeed(t, door, m.call(exampleID, s.good()))
						}
						if took := time.Since(begin); took != 0 {
							t.Errorf("with known keys, calls took %v", took)
						}
					}
				})
			})
		}
	}
}
