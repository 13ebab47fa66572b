package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/certificates"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// authorities vouch for the server and for its clients. They are made in the bubble, by its clock.
type authorities struct{ server, client *certificates.CA }

func newAuthorities() *authorities {
	return &authorities{certificates.NewCA(), certificates.NewCA()}
}

// tls makes a server use TLS and, with names, require client certificates that have one of them.
func (a *authorities) tls(c *server.Config, names ...string) {
	secured := server.TLS{Certificate: a.server.Server("kootask.test").TLS}
	if names != nil {
		secured.ClientCAs = a.client.Pool()
		c.Auth.ClientCAs = func() *x509.CertPool { return secured.ClientCAs }
		c.Auth.SANs = names
	}
	c.TLS = func() server.TLS { return secured }
}

// config is that of a client that trusts the server, with the certificate own unless it is nil.
func (a *authorities) config(own *certificates.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: a.server.Pool(), ServerName: "kootask.test", MinVersion: tls.VersionTLS12}
	if own != nil { // Whichever authorities the server names.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own.TLS, nil }
	}
	return config
}

// secureBubble is a bubble whose server uses TLS. The system's own clients do not.
func secureBubble(t *testing.T, names []string, test func(t *testing.T, s *system, a *authorities)) {
	t.Helper()
	var a *authorities
	bubble(t, func(c *server.Config) {
		a = newAuthorities()
		a.tls(c, names...)
	}, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1, 2)})
		test(t, s, a)
	})
}

// works makes a call that must succeed, at any of the doors.
func (s *system) works(t *testing.T, door string) {
	t.Helper()
	switch door {
	case "grpc get":
		if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID}); err != nil {
			t.Errorf("%s: %v", door, err)
		}
	case "grpc operation":
		if _, err := s.operations().GetOperation(as(t.Context(), token), operationOf(taskID)); err != nil {
			t.Errorf("%s: %v", door, err)
		}
	case "grpc wait operation":
		req := &longrunningpb.WaitOperationRequest{Name: operationOf(taskID).GetName()}
		if _, err := s.operations().WaitOperation(as(t.Context(), token), req); err != nil {
			t.Errorf("%s: %v", door, err)
		}
	case "grpc wait":
		if _, err := s.tasks.WaitTask(as(t.Context(), token), &taskv1.WaitTaskRequest{TaskId: taskID}); err != nil {
			t.Errorf("%s: %v", door, err)
		}
	case "rest", "rest wait":
		if resp, body := s.get(t, request(t.Context(), t, pathAt(door, taskID, ""))); resp.StatusCode != 200 {
			t.Errorf("%s: HTTP %d: %s", door, resp.StatusCode, body)
		}
	default:
		events := s.watch(t.Context(), t, strings.TrimSuffix(door, " watch"), taskID)
		if last := events[len(events)-1]; last.name != "end" {
			t.Errorf("%s: %+v", door, events)
		}
	}
}

// isShutOut checks that no door opens: the connection or each call on it is refused, with the expected reason, and KooDrive
// gets no request.
func (s *system) isShutOut(t *testing.T, name string) {
	t.Helper()
	before := s.koodrive.Count()
	_, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("%s: gRPC: %v", name, err)
	}
	if events := s.watch(t.Context(), t, "grpc", taskID); len(events) != 1 || status.Code(events[0].err) != codes.Unavailable {
		t.Errorf("%s: gRPC: %+v", name, events)
	}
	for _, path := range []string{"/v1/tasks/" + taskID, "/v1/tasks/" + taskID + ":watch", "/openapi.json"} {
		if resp, err := s.http.Do(request(t.Context(), t, path)); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: %s: HTTP %d", name, path, resp.StatusCode)
		}
	}
	if n := s.koodrive.Count() - before; n != 0 {
		t.Errorf("%s: KooDrive got %d requests", name, n)
	}
}

func TestEveryDoorSpeaksTLS(t *testing.T) {
	for _, mutual := range [][]string{nil, {"*"}} {
		secureBubble(t, mutual, func(t *testing.T, s *system, a *authorities) {
			for version, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
				seen := s.over(t, a.config(a.client.Client("DNS:orders.example")), http2)
				for _, door := range doors {
					seen.works(t, door)
				}
				resp, _ := seen.get(t, request(t.Context(), t, "/openapi.json"))
				if resp.Proto != version || resp.TLS == nil || resp.TLS.Version != tls.VersionTLS13 {
					t.Errorf("%s, TLS %+v, want %s", resp.Proto, resp.TLS, version)
				}
			}
		})
	}
}

// Neither plaintext nor old versions of TLS reach kootask. For plaintext HTTP, net/http's own answer says so.
func TestConnectionsWithoutTLSGetNothing(t *testing.T) {
	secureBubble(t, nil, func(t *testing.T, s *system, a *authorities) {
		old := a.config(nil)
		old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		s.over(t, old, false).isShutOut(t, "TLS 1.1")

		if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID}); status.Code(err) != codes.Unavailable {
			t.Errorf("gRPC in plaintext: %v", err)
		}
		const get = "GET /v1/tasks/" + taskID + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\n\r\n"
		for text, want := range map[string]string{
			get: "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\x00", 9): "",
			junk + "\r\n": "",
		} {
			answer, _ := io.ReadAll(raw(t, s.httpPort, text))
			if !bytes.HasPrefix([]byte(want), answer) && !bytes.HasPrefix(answer, []byte{21, 3}) { // An alert of TLS.
				t.Errorf("%.20q is answered with %q", text, answer)
			}
			if answer, _ := io.ReadAll(raw(t, s.grpcPort, text)); len(answer) > 0 && !bytes.HasPrefix(answer, []byte{21, 3}) {
				t.Errorf("%.20q is answered with %q on the gRPC port", text, answer)
			}
		}
		if n := s.koodrive.Count(); n != 0 {
			t.Errorf("KooDrive got %d requests", n)
		}
	})
}

// Data in a handshake is logged nowhere.
func TestHandshakeTextIsNotLogged(t *testing.T) {
	secureBubble(t, nil, func(t *testing.T, s *system, _ *authorities) {
		for _, port := range []*koodrivetest.Listener{s.httpPort, s.grpcPort} {
			conn, err := port.Dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: junk + ".test", NextProtos: []string{junk}})
			if err := client.HandshakeContext(t.Context()); err == nil {
				t.Error("an unknown protocol is accepted")
			}
			_ = conn.Close()
		}
	})
}

// Sessions are not resumed: a client shows its certificate, which is verified, each time.
func TestSessionsAreNotResumed(t *testing.T) {
	secureBubble(t, []string{"*"}, func(t *testing.T, s *system, a *authorities) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := a.config(a.client.Client("DNS:orders.example"))
			config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(10)
			seen := s.over(t, config, false)
			for range 3 {
				resp, _ := seen.get(t, request(t.Context(), t, "/v1/tasks/"+taskID))
				if resp.TLS.DidResume || resp.TLS.Version != version {
					t.Errorf("%s: resumed %v", tls.VersionName(resp.TLS.Version), resp.TLS.DidResume)
				}
				seen.http.CloseIdleConnections()
			}
		}
	})
}

// A client without a currently valid certificate is refused.
func TestClientsNeedACertificate(t *testing.T) {
	const san = "DNS:orders.example"
	secureBubble(t, []string{"*"}, func(t *testing.T, s *system, a *authorities) {
		clientAuth := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		names := []string{san}
		for name, own := range map[string]*certificates.Certificate{
			"none":          nil,
			"another CA":    certificates.NewCA().Client(san),
			"the server's":  a.server.Client(san),
			"expired":       a.client.Issue(certificates.Spec{SANs: names, Usages: clientAuth, NotAfter: time.Now().Add(-time.Second)}),
			"not yet valid": a.client.Issue(certificates.Spec{SANs: names, Usages: clientAuth, NotBefore: time.Now().Add(time.Hour)}),
			"for servers":   a.client.Issue(certificates.Spec{SANs: names, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}),
		} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				for _, http2 := range []bool{false, true} {
					config := a.config(own)
					config.MaxVersion = version
					s.over(t, config, http2).isShutOut(t, name)
				}
			}
		}
		s.over(t, a.config(a.client.Client(san)), true).works(t, "rest") // The others do not fail for a common fault of the test.
	})
}

// The names of a valid certificate that are compared with the list.
func TestClientsAreKnownByTheirNames(t *testing.T) {
	all := []string{"DNS:orders.example", "URI:spiffe://example/orders", "email:orders@example.com", "IP:192.0.2.1"}
	rows := map[string]struct {
		name  string
		sans  []string
		known []string // Entries of the list that match, each alone.
	}{
		"DNS":                   {"", all[:1], all[:1]},
		"URI":                   {"", all[1:2], all[1:2]},
		"email":                 {"", all[2:3], all[2:3]},
		"IP":                    {"", all[3:], all[3:]},
		"several":               {"", all[1:3], all[1:3]},
		"the name of another":   {"", []string{"DNS:billing.example"}, nil},
		"none":                  {"", nil, nil},
		"as the common name":    {"orders.example", nil, nil},
		"typed, as such":        {all[0], []string{"DNS:billing.example"}, nil},
		"below":                 {"", []string{"DNS:a.orders.example"}, nil},
		"a wildcard":            {"", []string{"DNS:*.example"}, nil},
		"in capitals":           {"", []string{"DNS:ORDERS.EXAMPLE"}, nil},
		"as another type":       {"", []string{"DNS:spiffe://example/orders", "DNS:192.0.2.1", "DNS:orders@example.com", "URI:orders.example"}, nil},
		"a star for a name":     {"", []string{"DNS:*"}, nil},
		"the types of the list": {"", []string{"DNS:DNS:orders.example"}, nil},
	}
	for _, listed := range append(all, "*") {
		t.Run(listed, func(t *testing.T) {
			secureBubble(t, []string{listed}, func(t *testing.T, s *system, a *authorities) {
				for name, row := range rows {
					seen := s.over(t, a.config(a.client.Issue(certificates.Spec{
						Name: row.name, SANs: row.sans, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
					})), false)
					known := slices.Contains(row.known, listed) || listed == "*" && row.sans != nil
					before := s.koodrive.Count()
					for _, door := range doors {
						if known {
							seen.works(t, door)
							continue
						}
						v := seen.fail(t.Context(), t, door, call{id: taskID, header: bearer})
						if v.code != codes.Unauthenticated || v.reason != "CALLER_UNAUTHENTICATED" || v.retry != nil || v.http != 0 && v.http != 401 {
							t.Errorf("%s, %s: %+v", name, door, v)
						}
					}
					if n := s.koodrive.Count() - before; (n > 0) != known {
						t.Errorf("%s: KooDrive got %d requests", name, n)
					}
					<-time.After(2 * time.Minute) // The cache has expired.
				}
			})
		})
	}
}

// A certificate that expires while its connection is open is refused for further calls, and its watches end.
func TestCertificatesEndOnOpenConnections(t *testing.T) {
	for _, surface := range surfaces {
		t.Run(surface, func(t *testing.T) {
			secureBubble(t, []string{"*"}, func(t *testing.T, s *system, a *authorities) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
				const left = 100 * time.Second
				seen := s.over(t, a.config(a.client.Issue(certificates.Spec{
					SANs: []string{"DNS:orders.example"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: time.Now().Add(left),
				})), true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				start := time.Now()
				events := seen.watch(ctx, t, surface, taskID)
				last := events[len(events)-1]
				if got := time.Since(start); last.name != "failure" || got < left || got > left+17*time.Second {
					t.Errorf("ended after %v: %+v", got, last)
				}
				open := httpDoors
				if surface == "grpc" {
					open = grpcDoors
				}
				for _, door := range open {
					if v := seen.fail(t.Context(), t, door, call{id: taskID, header: bearer}); v.reason != "CALLER_UNAUTHENTICATED" {
						t.Errorf("%s: %+v", door, v)
					}
				}
			})
		})
	}
}
