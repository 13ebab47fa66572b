package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// mode is how callers authenticate, and whether KooDrive sees the caller's credential or an app's.
type mode struct {
	app    bool
	header string // Of the caller's token.
}

// modes are all modes with authentication.
var modes = map[string]mode{
	"caller":                 {false, "x-kootask-authorization"},
	"app":                    {true, "x-kootask-authorization"},
	"app, and authorization": {true, "authorization"},
}

// user is the user of calls in app mode.
const user = "42"

// call is a valid call, but for these values of the caller's token.
func (m mode) call(id string, values ...string) call {
	c := call{id: id, header: bearer}
	if m.app {
		c.header = []string{"x-user-id", user}
	}
	for _, value := range values {
		c.header = append(c.header[:len(c.header):len(c.header)], m.header, value)
	}
	return c
}

// known is a system that authenticates its callers.
type known struct {
	*system
	mode   mode
	issuer *issuertest.Issuer
	policy atomic.Pointer[auth.Policy] // In app mode.

	mu      sync.Mutex
	tokens  int      // Number of tokens issued. Guarded by mu.
	fetches []string // Requests to the issuer. Guarded by mu.
}

// everybodyAsTheUser is a policy that lets every caller act for the user.
const everybodyAsTheUser = "callers:\n  - claims: {iss: 'https://issuer.test'}\n    users: ['42']\n"

// bubbleKnown runs test with a system that authenticates its callers, and with their issuer. configure may be nil.
func bubbleKnown(t *testing.T, m mode, configure func(*server.Config), test func(t *testing.T, s *known)) {
	t.Helper()
	s := &known{mode: m, issuer: issuertest.New("https://issuer.test")}
	s.allow(t, everybodyAsTheUser)
	var transport *http.Transport
	var issuer *http.Server
	bubble(t, func(c *server.Config) {
		listener := koodrivetest.Listen()
		issuer = &http.Server{Handler: http.HandlerFunc(s.fetched)}
		go func() { _ = issuer.Serve(listener) }()
		transport = &http.Transport{DialContext: listener.Dial, DialTLSContext: listener.Dial}
		c.Auth.Tokens = &auth.TokensConfig{Issuer: s.issuer.URL(), Audience: issuertest.Audience, Transport: transport}
		c.Auth.TokenHeader = m.header
		c.Auth.FailuresPerPeer = 100_000 // All clients of a test are one peer.
		if m.app {
			appMode("s3cr3t")(c)
			c.Auth.Policy = s.policy.Load
		}
		if configure != nil {
			configure(c)
		}
	}, func(t *testing.T, plain *system) {
		s.system = plain
		s.koodrive.AddApp("app", "s3cr3t")
		t.Cleanup(func() {
			transport.CloseIdleConnections()
			_ = issuer.Close()
			s.apart(t)
		})
		test(t, s)
	})
}

// allow sets the policy.
func (s *known) allow(t *testing.T, text string) {
	t.Helper()
	policy, err := auth.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.policy.Store(policy)
}

// fetched answers for the issuer, and records the request.
func (s *known) fetched(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.fetches = append(s.fetches, fmt.Sprint(r.URL, r.Header))
	s.mu.Unlock()
	s.issuer.ServeHTTP(w, r)
}

// apart fails the test if KooDrive got a caller's token, or the issuer a credential for KooDrive.
func (s *known) apart(t *testing.T) {
	t.Helper()
	for _, r := range s.koodrive.Requests() {
		if text := fmt.Sprint(r.Path, r.Header); strings.Contains(text, "eyJ") { // Every JWT begins so.
			t.Fatalf("KooDrive got a caller's token: %s", text)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range s.fetches {
		if strings.Contains(text, token[:16]) || strings.Contains(text, "eyJ") {
			t.Fatalf("the issuer got a credential: %s", text)
		}
	}
}

// jwt returns a token with the given claims beside the required ones. It is valid unless a claim or an option breaks it.
func (s *known) jwt(claims map[string]any, options ...issuertest.Option) string {
	all := map[string]any{"sub": "alice", "jti": claim}
	for name, value := range claims {
		all[name] = value
	}
	made := s.issuer.Token(all, options...)
	s.mu.Lock()
	defer s.mu.Unlock()
	signature := made[strings.LastIndex(made, ".")+1:]
	if s.tokens++; s.tokens <= 3 && signature != "" { // Searching for thousands of tokens would take long.
		s.out.watch("the signature of a caller's token", signature[:40])
	}
	return made
}

// good is the header value of a valid token.
func (s *known) good() string { return "Bearer " + s.jwt(nil) }

// try makes a call, and returns its error.
func (s *system) try(ctx context.Context, t *testing.T, door string, c call) error {
	t.Helper()
	switch door {
	case "grpc get":
		_, err := s.tasks.GetTask(metadata.NewOutgoingContext(ctx, metadata.Pairs(c.header...)), &taskv1.GetTaskRequest{TaskId: c.id, MaxAge: noAge})
		return err
	case "grpc wait":
		_, err := s.tasks.WaitTask(metadata.NewOutgoingContext(ctx, metadata.Pairs(c.header...)), &taskv1.WaitTaskRequest{TaskId: c.id})
		return err
	case "grpc tasks":
		stream, err := s.tasks.WatchTasks(metadata.NewOutgoingContext(ctx, metadata.Pairs(c.header...)), &taskv1.WatchTasksRequest{TaskIds: []string{c.id}})
		for err == nil {
			_, err = stream.Recv()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	case "grpc operation":
		_, err := s.operations().GetOperation(metadata.NewOutgoingContext(ctx, metadata.Pairs(c.header...)), operationOf(c.id))
		return err
	case "grpc wait operation":
		req := &longrunningpb.WaitOperationRequest{Name: operationOf(c.id).GetName()}
		_, err := s.operations().WaitOperation(metadata.NewOutgoingContext(ctx, metadata.Pairs(c.header...)), req)
		return err
	case "grpc watch":
		stream, err := s.tasks.WatchTask(metadata.NewOutgoingContext(ctx, metadata.Pairs(c.header...)), &taskv1.WatchTaskRequest{TaskId: c.id})
		for err == nil {
			_, err = stream.Recv()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	query := ""
	if door == "rest" {
		query = "maxAge=0s"
	}
	r := request(ctx, t, pathAt(door, c.id, query), "Accept", accepted(door))
	r.Header.Del("Authorization")
	for i := 0; i < len(c.header); i += 2 {
		r.Header.Add(c.header[i], c.header[i+1])
	}
	resp, body := s.get(t, r)
	if resp.StatusCode != http.StatusOK || strings.Contains(body, "failure") && accepted(door) != "" {
		return errors.New(body)
	}
	return nil
}

// audits returns the number of logged decisions.
func (s *system) audits() int { return strings.Count(s.log.String(), `"msg":"audit"`) }
