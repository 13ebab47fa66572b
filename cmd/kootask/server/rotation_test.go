package server_test

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/server/reload"
	"github.com/kootask/kootask/internal/certificates"
	"github.com/kootask/kootask/service"
)

// The certificate, its key and the clients' authority are replaced, one file after the other. Clients with current certificates
// notice nothing. Others are refused, also on open connections.
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
			t.Errorf("the files were reloaded %v times", n)
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

// A certificate that is renewed ahead of time takes effect when it becomes valid. One that has expired stays in use until
// there is another one, which is logged.
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

// Whatever happens to the files, the last valid version stays in use until there is another valid one.
func TestInvalidFiles(t *testing.T) {
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
			if i%2 == 0 { // The same files are valid again, or new ones are.
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
