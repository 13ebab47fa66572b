package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/rates"
)

// peerOf returns the peer in the last line of the log.
func (s *system) peerOf(t *testing.T) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(s.calls()), "\n")
	var line struct{ Peer string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		t.Fatal(err)
	}
	return line.Peer
}

// The peer of a call is named by as many proxies as are trusted, at every door, and by nobody else.
func TestHops(t *testing.T) {
	for name, row := range map[string]struct {
		hops   int
		header []string // Lines of X-Forwarded-For.
		want   string
	}{
		"none are trusted":              {0, []string{"198.51.100.1"}, "192.0.2.1"},
		"it says nothing":               {1, nil, "192.0.2.1"},
		"it says who":                   {1, []string{"198.51.100.1"}, "198.51.100.1"},
		"a forged header":               {1, []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		"in another line":               {1, []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1"},
		"it has a port":                 {1, []string{"198.51.100.1:4711"}, "198.51.100.1"},
		"it is IPv6":                    {1, []string{"[2001:db8::1]:4711"}, "2001:db8::/56"},
		"it is in brackets":             {1, []string{"[2001:db8::1]"}, "2001:db8::/56"},
		"it is garbage":                 {1, []string{junk}, "192.0.2.1"},
		"two":                           {2, []string{"203.0.113.9, 198.51.100.1", "192.0.2.7"}, "198.51.100.1"},
		"past one of the two":           {2, []string{"198.51.100.1"}, "192.0.2.1"},
		"a forged entry past one of it": {2, []string{"203.0.113.9, 198.51.100.1, " + junk}, "198.51.100.1"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(c *server.Config) { c.Auth.TrustedHops = row.hops }, func(t *testing.T, s *system) {
				header := []string{"x-real-ip", "203.0.113.1", "forwarded", "for=203.0.113.2"}
				for _, line := range row.header {
					header = append(header, "x-forwarded-for", line)
				}
				check := func(door string) {
					if got := s.peerOf(t); got != row.want {
						t.Errorf("%s: %q, want %q", door, got, row.want)
					}
				}
				for _, door := range doors {
					s.fail(t.Context(), t, door, call{id: "unknown", header: append(header, bearer...)})
					check(door)
				}
				for _, path := range []string{"/nothing", "/v1/tasks/1?a", "/v1/tasks/a%20b:watch"} { // Only the gateway sees these.
					s.get(t, request(t.Context(), t, path, header...))
					check(path)
				}
				// A header that looks as if it were for kootask's own use means nothing.
				ctx := metadata.AppendToOutgoingContext(t.Context(), append(append(header, "kootask-caller", "1"), bearer...)...)
				if _, err := s.tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: "unknown"}); err == nil {
					t.Error("an unknown task is there")
				}
				check("gRPC, with a header of no meaning")
			})
		})
	}
}

// A client behind a trusted proxy has a limit of its own, and a client cannot forge another one.
func TestHopsHaveLimitsOfTheirOwn(t *testing.T) {
	for name, row := range map[string]struct {
		hops          int
		first, second string
		same          bool
	}{
		"none are trusted":       {0, "198.51.100.1", "198.51.100.2", true},
		"two clients":            {1, "198.51.100.1", "198.51.100.2", false},
		"one client":             {1, "198.51.100.1", "198.51.100.1:2", true},
		"one that makes up more": {1, "203.0.113.1, 198.51.100.1", "203.0.113.2, 198.51.100.1", true},
		"past the first of two":  {2, "198.51.100.1", "198.51.100.2", true},
	} {
		for _, door := range getDoors {
			t.Run(name+"/"+door, func(t *testing.T) {
				bubble(t, func(c *server.Config) { c.Service.Quota.NewTasksPerPeer, c.Auth.TrustedHops = 1, row.hops }, func(t *testing.T, s *system) {
					ask := func(i int, from string) string {
						header := []string{"x-forwarded-for", from, "authorization", fmt.Sprint("Bearer guess-", i)}
						return s.fail(t.Context(), t, door, call{id: taskID, header: header}).reason
					}
					for i := range rates.Burst {
						if got := ask(i, row.first); got != "CREDENTIAL_REJECTED" {
							t.Fatalf("%s", got)
						}
					}
					if got := ask(100, row.second); (got == "CALLER_LIMIT_REACHED") != row.same {
						t.Error(got)
					}
				})
			})
		}
	}
}
