package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/certificates"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// files are the files of a server with TLS that requires client certificates.
type files struct {
	t   *testing.T
	dir string
	authorities
}

// write replaces the content of one.
func (f *files) write(name string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// serverFor returns a server's certificate that ends after some time.
func serverFor(ca *certificates.CA, lasts time.Duration) *certificates.Certificate {
	return ca.Issue(certificates.Spec{
		SANs: []string{"DNS:kootask.test"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: time.Now().Add(lasts),
	})
}

// filedBubble is a bubble whose server follows files, as `kootask serve` does. They have a certificate of a day.
func filedBubble(t *testing.T, test func(t *testing.T, s *system, f *files)) {
	t.Helper()
	f := &files{t: t, dir: t.TempDir()}
	bubble(t, func(c *server.Config) {
		f.authorities = *newAuthorities()
		first := serverFor(f.server, 24*time.Hour)
		f.write("cert", first.CertPEM)
		f.write("key", first.KeyPEM)
		f.write("ca", f.client.PEM())
		c.Upstream.PerSecond = 100_000
		c.Files = &reload.Files{Log: c.Log}
		paths := []string{filepath.Join(f.dir, "cert"), filepath.Join(f.dir, "key"), filepath.Join(f.dir, "ca")}
		secured, err := reload.Read(c.Files, "tls", paths, func(contents [][]byte) (server.TLS, error) {
			return server.ParseTLS(credfile.File{Name: "cert", Content: contents[0]}, credfile.File{Name: "key", Content: contents[1]},
				credfile.File{Name: "ca", Content: contents[2]})
		})
		if err != nil {
			t.Fatal(err)
		}
		c.TLS, c.Auth.SANs = secured, []string{"*"}
		c.Auth.ClientCAs = func() *x509.CertPool { return secured().ClientCAs }
	}, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		test(t, s, f)
	})
}

// shows checks the certificate of new connections on both ports, and the metrics of the files.
func (s *system) shows(t *testing.T, when string, want *certificates.Certificate, config *tls.Config, failed float64) {
	t.Helper()
	for _, port := range []*koodrivetest.Listener{s.grpcPort, s.httpPort} {
		conn, err := port.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		config := config.Clone()
		config.NextProtos = []string{"h2"}
		client := tls.Client(conn, config)
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Errorf("%s: %v", when, err)
		} else if got := client.ConnectionState().PeerCertificates[0]; !got.Equal(want.TLS.Leaf) {
			t.Errorf("%s: the certificate is another one, which ends %v", when, got.NotAfter)
		}
		_ = conn.Close()
	}
	metrics := s.scrape(t)
	if got := metrics[`kootask_files_failed{files="tls"}`]; got != failed {
		t.Errorf("%s: kootask_files_failed is %v", when, got)
	}
	if got := metrics["kootask_tls_certificate_end_timestamp_seconds"]; got != float64(want.TLS.Leaf.NotAfter.Unix()) {
		t.Errorf("%s: the certificate is said to end at %v", when, got)
	}
}

// soon is when a change of a file has surely been seen.
const soon = 2*reload.Interval + time.Second

// load gets and watches over connections that are new every two seconds, until ctx ends. It returns the number of calls.
func (s *system) load(ctx context.Context, t *testing.T, config *tls.Config) (calls func() int64) {
	t.Helper()
	var n atomic.Int64
	var all sync.WaitGroup
	// Each loop has its own connections, so that handshakes happen all the time.
	loop := func(http2 bool, do func(ctx context.Context, seen *system)) {
		all.Go(func() {
			for ctx.Err() == nil {
				seen := s.over(t, config, http2)
				turn, done := context.WithCancel(ctx) // Not a deadline, because the server would see it.
				time.AfterFunc(2*time.Second, done)
				do(turn, seen)
				_ = seen.conn.Close()
				seen.http.CloseIdleConnections()
			}
		})
	}
	for i := range 3 {
		loop(true, func(ctx context.Context, seen *system) {
			for ; ctx.Err() == nil; <-time.After(100 * time.Millisecond) {
				n.Add(1)
				_, err := seen.tasks.GetTask(as(context.WithoutCancel(ctx), token), &taskv1.GetTaskRequest{TaskId: taskID, MaxAge: noAge})
				if err != nil {
					t.Errorf("gRPC, at %v: %v", time.Now(), err)
				}
			}
		})
		loop(i == 0, func(ctx context.Context, seen *system) {
			for ; ctx.Err() == nil; <-time.After(100 * time.Millisecond) {
				n.Add(1)
				if resp, body := seen.get(t, request(context.WithoutCancel(ctx), t, "/v1/tasks/"+taskID)); resp.StatusCode != 200 {
					t.Errorf("HTTP, at %v: %d %s", time.Now(), resp.StatusCode, body)
				}
			}
		})
	}
	for i := range 8 {
		surface := surfaces[i%len(surfaces)]
		loop(i%2 == 0, func(ctx context.Context, seen *system) {
			seen.follow(ctx, t, surface, taskID, func(e event) {
				if e.name != "task" && ctx.Err() == nil {
					t.Errorf("%s, at %v: %+v", surface, time.Now(), e)
				}
			})
		})
	}
	return func() int64 { all.Wait(); return n.Load() }
}

// The certificate, its key and the clients' authority are replaced, one file after the other. Clients with current certificates
// notice nothing. Clients with old ones are refused, also on open connections.
func TestRotation(t *testing.T) {
	t.Parallel()
	filedBubble(t, func(t *testing.T, s *system, f *files) {
		next := newAuthorities()
		var own atomic.Pointer[certificates.Certificate]
		own.Store(f.client.Client("DNS:orders.example"))
		oldConfig := f.config(own.Load())
		oldConfig.RootCAs.AppendCertsFromPEM(next.server.PEM())
		config := oldConfig.Clone()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own.Load().TLS, nil }

		old := s.over(t, oldConfig, true)
		type end struct {
			at   time.Time
			last event
		}
		ends := make(chan end, len(surfaces))
		watching, leave := context.WithCancel(t.Context())
		defer time.AfterFunc(2*time.Minute, leave).Stop()
		for _, surface := range surfaces {
			go func() {
				events := old.watch(watching, t, surface, taskID)
				ends <- end{time.Now(), events[len(events)-1]}
			}()
		}
		ctx, stop := context.WithCancel(t.Context())
		start := time.Now()
		calls := s.load(ctx, t, config)

		second := serverFor(next.server, 48*time.Hour)
		for _, step := range []struct {
			name string
			text []byte
		}{
			{"cert", second.CertPEM[:len(second.CertPEM)/2]}, {"cert", second.CertPEM}, {"key", second.KeyPEM[:100]}, {"key", second.KeyPEM},
			{"ca", []byte(string(f.client.PEM()) + string(next.client.PEM()))},
		} {
			<-time.After(soon)
			f.write(step.name, step.text)
		}
		<-time.After(soon)
		s.shows(t, "with both", second, config, 0)
		own.Store(next.client.Client("DNS:orders.example"))
		<-time.After(soon)
		f.write("ca", next.client.PEM())
		over := time.Now()
		<-time.After(soon)

		if n := s.scrape(t)[`kootask_files_reloads_total{files="tls"}`]; n != 3 {
			t.Errorf("the files were re-read %v times", n)
		}
		seconds := time.Since(start).Seconds()
		stop()
		if n := calls(); float64(n) < 50*seconds {
			t.Errorf("only %d calls in %v seconds", n, seconds)
		}
		for range surfaces {
			e := <-ends
			if v := verdictOf(t, e.last); v.reason != "CALLER_UNAUTHENTICATED" || e.at.Before(over) || e.at.Sub(over) > soon+service.DefaultHeartbeat {
				t.Errorf("a watch ended after %v: %+v", e.at.Sub(over), v)
			}
		}
		for _, door := range doors {
			if v := old.fail(t.Context(), t, door, call{id: taskID, header: bearer}); v.reason != "CALLER_UNAUTHENTICATED" {
				t.Errorf("%s: %+v", door, v)
			}
		}
		s.over(t, oldConfig, true).isShutOut(t, "the old certificate")
	})
}

// A certificate that is renewed ahead of its time takes effect when its time comes. One that has expired stays in use until there
// is another one, and that is said.
func TestCertificatesTakeEffectInTime(t *testing.T) {
	filedBubble(t, func(t *testing.T, s *system, f *files) {
		config := f.config(f.client.Client("DNS:orders.example"))
		install := func(notBefore, notAfter time.Duration) *certificates.Certificate {
			made := f.server.Issue(certificates.Spec{
				SANs: []string{"DNS:kootask.test"}, NotBefore: time.Now().Add(notBefore), NotAfter: time.Now().Add(notAfter),
			})
			f.write("cert", made.CertPEM)
			f.write("key", made.KeyPEM)
			return made
		}
		old := install(-time.Hour, time.Hour)
		<-time.After(soon)
		renewed := install(time.Minute, 2*time.Minute)
		<-time.After(soon)
		s.shows(t, "before its time", old, config, 1)
		<-time.After(time.Minute - soon - time.Second)
		s.shows(t, "a second before its time", old, config, 1)
		<-time.After(reload.Interval + 2*time.Second)
		s.shows(t, "in its time", renewed, config, 0)
		<-time.After(time.Minute)
		if failed := s.scrape(t)[`kootask_files_failed{files="tls"}`]; failed != 1 {
			t.Errorf("after its time: kootask_files_failed is %v", failed)
		}
		renewed = install(-time.Hour, time.Hour)
		<-time.After(soon)
		s.shows(t, "renewed again", renewed, config, 0)
	})
}

// With any damage to the files, the last valid content stays in use until there is valid content again.
func TestFilesThatAreNoGood(t *testing.T) {
	filedBubble(t, func(t *testing.T, s *system, f *files) {
		config := f.config(f.client.Client("DNS:orders.example"))
		current := serverFor(f.server, 30*time.Hour)
		f.write("cert", current.CertPEM)
		f.write("key", current.KeyPEM)
		<-time.After(soon)
		s.shows(t, "to begin with", current, config, 0)
		other := serverFor(f.server, time.Hour)
		good := func(name string) []byte {
			return map[string][]byte{"cert": current.CertPEM, "key": current.KeyPEM, "ca": f.client.PEM()}[name]
		}
		for i, row := range []struct{ file, what, text string }{
			{"cert", "garbage", junk}, {"cert", "empty", ""}, {"cert", "a key", string(current.KeyPEM)},
			{"cert", "garbage in PEM", "-----BEGIN CERTIFICATE-----\n" + strings.Repeat("AAAA", 20) + "\n-----END CERTIFICATE-----\n"},
			{"cert", "of another key", string(other.CertPEM)},
			{"cert", "with a cut issuer", string(current.CertPEM) + string(f.server.PEM()[:200])},
			{"key", "garbage", junk}, {"key", "empty", ""}, {"key", "of another certificate", string(other.KeyPEM)},
			{"key", "half", string(current.KeyPEM[:len(current.KeyPEM)/2])},
			{"ca", "garbage", junk}, {"ca", "empty", ""}, {"ca", "one of two cut off", string(f.client.PEM()) + string(f.server.PEM()[:200])},
			{"cert", "gone", ""}, {"key", "gone", ""}, {"ca", "gone", ""},
		} {
			name := row.file + ": " + row.what
			f.write(row.file, []byte(row.text))
			if row.what == "gone" {
				if err := os.Remove(filepath.Join(f.dir, row.file)); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				<-time.After(soon)
				s.shows(t, name, current, config, 1)
			}
			seen := s.over(t, config, i%2 == 0)
			for _, door := range []string{"grpc get", "rest"} {
				seen.works(t, door)
			}
			if i%2 == 0 { // The same files are good again, or new ones are.
				f.write(row.file, good(row.file))
			} else {
				current = serverFor(f.server, time.Duration(31+i)*time.Hour)
				for _, file := range []string{"cert", "key", "ca"} {
					f.write(file, good(file))
				}
			}
			<-time.After(soon)
			s.shows(t, name+", then good", current, config, 0)
		}
		if strings.Contains(s.log.String(), "PRIVATE KEY") || strings.Contains(s.log.String(), "AAAA") {
			t.Error("the log has what is in the files")
		}
	})
}
