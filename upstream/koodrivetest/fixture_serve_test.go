package koodrivetest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

const (
	exampleID = "1534087020903704704"
	taskPath  = "/koodrive/ose/v1/task/"
)

// client is an HTTP client of one KooDrive, with a token that it accepts.
type client struct {
	t *testing.T
	*http.Client
}

// serve serves a KooDrive until the test, or its bubble, ends.
func serve(t *testing.T, k *koodrivetest.KooDrive) client {
	t.Helper()
	l := koodrivetest.Listen()
	server := &http.Server{Handler: k}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	transport := &http.Transport{DialContext: l.Dial, DisableCompression: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-served
	})
	k.AddToken("test", 0)
	return client{t, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// request makes a request with the client's token. Headers are pairs of name and value.
func (c client) request(method, path, body string, headers ...string) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, "http://koodrive.test"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer test")
	for i := 0; i < len(headers); i += 2 {
		r.Header[http.CanonicalHeaderKey(headers[i])] = []string{headers[i+1]}
	}
	return r
}

// do sends a request and reads the whole answer. It may be called from any goroutine.
func (c client) do(r *http.Request) (*http.Response, string) {
	c.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		c.t.Error(err)
		return &http.Response{}, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Errorf("reading the answer: %v", err)
	}
	return resp, string(body)
}

// get asks for a task.
func (c client) get(id string) (*http.Response, string) {
	c.t.Helper()
	return c.do(c.request(http.MethodGet, taskPath+id, ""))
}

// fail sends a request that must get no complete answer.
func (c client) fail(r *http.Request) error {
	c.t.Helper()
	resp, err := c.Do(r)
	if err == nil {
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
	}
	if err == nil {
		c.t.Error("the answer was complete")
	}
	return err
}
