package server_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// lingering is a ResponseWriter that sends each write at once, and returns when the client has hung up.
type lingering struct {
	http.ResponseWriter
	client context.Context
}

func (l lingering) Write(b []byte) (int, error) {
	n, err := l.ResponseWriter.Write(b)
	_ = http.NewResponseController(l.ResponseWriter).Flush()
	<-l.client.Done()
	return n, err
}

// The recorder counts an answer as given if the client was connected when it began. kootask closes a retired connection as
// soon as it has read the last answer, which may be before KooDrive's handler returns.
func TestRecorderAndHangUps(t *testing.T) {
	for name, row := range map[string]struct {
		wait  time.Duration // Until KooDrive answers. The client hangs up after a second.
		given bool
	}{
		"before the answer":     {2 * time.Second, false},
		"when it has been read": {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				koodrive := koodrivetest.New()
				koodrive.AddToken(token, 0)
				rec := &recorder{start: time.Now(), koodrives: map[string]*koodrivetest.KooDrive{token: koodrive}}
				listener := koodrivetest.Listen()
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(row.wait)
					rec.ServeHTTP(lingering{w, r.Context()}, r)
				})}
				go func() { _ = server.Serve(listener) }()
				defer server.Close()

				client := &http.Client{
					Transport: &http.Transport{DialContext: listener.Dial, DisableKeepAlives: true}, // It hangs up after the answer.
					Timeout:   time.Second,
				}
				resp, err := client.Do(request(t.Context(), t, "/koodrive/ose/v1/task/"+exampleID))
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
				}
				if read := err == nil; read != row.given {
					t.Errorf("reading the answer: %v", err)
				}
				time.Sleep(row.wait)
				synctest.Wait()
				if len(rec.answers) != 1 {
					t.Fatalf("the recorder has %d answers, want 1", len(rec.answers))
				}
				if a := rec.answers[0]; (a.Task != nil) != row.given || a.Cut == row.given {
					t.Errorf("recorded %+v", a)
				}
			})
		})
	}
}
