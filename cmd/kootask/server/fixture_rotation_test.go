package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/certificates"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// files are the certificate files of a server with mutual TLS.
type files struct {
	t   *testing.T
	dir string
	authorities
}

// write replaces the content of a file.
func (f *files) write(name string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// serverFor returns a server certificate with a lifetime.
func serverFor(ca *certificates.CA, lasts time.Duration) *certificates.Certificate {
	return ca.Issue(certificates.Spec{
		SANs: []string{"DNS:kootask.test"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: time.Now().Add(lasts),
	})
}

// filedBubble is a bubble whose server follows files, as `kootask serve` does. They begin with a certificate for one day.
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
		secured, err := reload.Read(c.Files, "tls", paths, func(files []credfile.File) (server.TLS, error) {
			return server.ParseTLS(files[0], files[1], files[2])
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

// shows checks which certificate new connections see on both ports, and the metrics of the files.
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

// soon is long enough for a change of a file to take effect.
const soon = 2*reload.Interval + time.Second

// load calls and watches over connections that are replaced every 2 s, until ctx ends. calls returns the number of calls made.
func (s *system) load(ctx context.Context, t *testing.T, config *tls.Config) (calls func() int64) {
	t.Helper()
	var n atomic.Int64
	var all sync.WaitGroup
	// Each loop has its own connections, so that handshakes happen all the time.
	loop := func(http2 bool, do func(ctx context.Context, seen *system)) {
		all.Go(func() {
			for ctx.Err() == nil {
				seen := s.over(t, config, http2)
				turn, done := context.WithCancel(ctx) // Without a deadline, which the server would report.
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
