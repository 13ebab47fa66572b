package server_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/rpcserver"
)

// groups are a user's groups, as issuers name them.
func groups(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%08x-1111-2222-3333-%012x", i, i))
	}
	return all
}

// A caller's token may be as long as a request's header has room for, since issuers put a user's groups into it. A credential for
// KooDrive may not; a longer one gets a clear error.
func TestLongCallerTokens(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				for _, n := range []int{0, 60, 100, 150, 260} {
					made := s.jwt(map[string]any{"groups": groups(n)})
					for _, door := range callerDoors {
						if err := s.try(t.Context(), t, door, m.call(exampleID, "Bearer "+made)); err != nil {
							t.Errorf("%d groups, %d bytes on %s: %v", n, len(made), door, err)
						}
					}
				}
				before := s.koodrive.Count()
				long := s.jwt(map[string]any{"groups": groups(320)})
				if len(long) < caller.MaxToken || len(long) > caller.MaxToken+2<<10 {
					t.Fatalf("a token of %d bytes", len(long))
				}
				r := request(t.Context(), t, "/v1/tasks/"+exampleID, m.call(exampleID, "Bearer "+long).header...)
				resp, err := s.http.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				if _ = resp.Body.Close(); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge || !strings.Contains(string(body), "larger than 16 KiB") {
					t.Errorf("over HTTP: %v %s", resp, body)
				}
				if err := s.try(t.Context(), t, "grpc get", m.call(exampleID, "Bearer "+long)); !strings.Contains(fmt.Sprint(err), "more than 16 KiB") {
					t.Errorf("%s over gRPC: %v", name, err)
				}
				if !m.app {
					c := call{id: exampleID, header: []string{"authorization", "Bearer " + strings.Repeat("x", caller.MaxAuthorization), m.header, s.good()}}
					for _, door := range callerDoors {
						if v := s.fail(t.Context(), t, door, c); !slices.Equal(v.violations, []string{"authorization TOO_LONG"}) {
							t.Errorf("a long credential for KooDrive on %s: %+v", door, v)
						}
					}
				}
				if n := s.koodrive.Count() - before; n != 0 {
					t.Errorf("KooDrive got %d requests", n)
				}
			})
		})
	}
}

// Invalid or oversized headers reach neither the caller's checks nor KooDrive.
func TestBrokenHeadersReachNobody(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				for _, value := range []string{"Bearer \x00", "Bearer \x01" + s.jwt(nil), "Bearer \x7f", "Bearer a\rb", "\x1b[2J"} {
					text := "GET /v1/tasks/" + exampleID + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-User-Id: 42\r\n" +
						http.CanonicalHeaderKey(m.header) + ": " + value + "\r\n\r\n"
					answer, _ := io.ReadAll(raw(t, s.httpPort, text))
					if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
						t.Errorf("%q: %.100q", value, answer)
					}
				}
				huge := s.jwt(map[string]any{"more": strings.Repeat("x", 2*rpcserver.MaxHeader)})
				for _, header := range []string{m.header, "x-more"} {
					c := m.call(exampleID)
					c.header = append(c.header, header, "Bearer "+huge)
					r := request(t.Context(), t, "/v1/tasks/"+exampleID, c.header...)
					if resp, err := s.http.Do(r); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
						t.Errorf("%s: %v, %v", header, resp, err)
					}
					if err := s.try(t.Context(), t, "grpc get", c); err == nil {
						t.Errorf("%s: it came through", header)
					}
				}
				if n := s.koodrive.Count(); n != 0 || s.audits() != 0 {
					t.Errorf("KooDrive got %d requests, and %d decisions made", n, s.audits())
				}
			})
		})
	}
}
