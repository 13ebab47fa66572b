package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// The scheme of a token may be in any case and be followed by any number of spaces, at every door and in every header.
func TestSpellingsOfTheScheme(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer  ", "Bearer" + strings.Repeat(" ", 100)} {
					for _, door := range callerDoors {
						c := m.call(exampleID, scheme+s.jwt(nil))
						if !m.app {
							c.header = append([]string{"authorization", scheme + token}, c.header[2:]...)
						}
						if err := s.try(t.Context(), t, door, c); err != nil {
							t.Errorf("%s, %d spaces: %v", door, strings.Count(scheme, " "), err)
						}
					}
				}
				for _, r := range s.koodrive.Requests() {
					if sent := r.Header.Get("Authorization"); !m.app && sent != "Bearer "+token {
						t.Errorf("KooDrive got %q", sent)
					}
				}
			})
		})
	}
}

// Every unauthenticated caller gets the same error everywhere, and KooDrive gets no request. Each decision is logged.
func TestBrokenCredentials(t *testing.T) {
	t.Parallel()
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				corpus := brokenCredentials(s)
				if len(corpus) < 90 {
					t.Errorf("there are only %d", len(corpus))
				}
				for what, row := range corpus {
					c := m.call(exampleID, row.values...)
					c.header = append(c.header, row.beside...)
					on := callerDoors
					if row.doors != nil {
						on = row.doors
					}
					for _, door := range on {
						s.refused(t, what+", "+door, door, c, row)
					}
				}
				for _, door := range callerDoors { // Everything else was valid.
					s.succeed(t, door, m.call(exampleID, s.good()))
				}
			})
		})
	}
}

// refused makes a call that must fail for its credential.
func (s *known) refused(t *testing.T, name, door string, c call, row broken) {
	t.Helper()
	before := s.audits()
	v := s.fail(t.Context(), t, door, c)
	if v.http == http.StatusUnauthorized && v.header.Get("WWW-Authenticate") != `Bearer realm="kootask"` {
		t.Errorf("%s: WWW-Authenticate %q", name, v.header.Get("WWW-Authenticate"))
	}
	want, code, httpStatus, audits := "CALLER_UNAUTHENTICATED", codes.Unauthenticated, http.StatusUnauthorized, 1
	var violations []string
	if row.violation != "" {
		want, code, httpStatus, audits = "REQUEST_INVALID", codes.InvalidArgument, http.StatusBadRequest, 0
		violations = []string{s.mode.header + " " + row.violation}
	}
	if v.reason != want || v.code != code || v.http != 0 && v.http != httpStatus || !slices.Equal(v.violations, violations) || v.retry != nil {
		t.Errorf("%s: %v %s %d %q, want %v %s %q", name, v.code, v.reason, v.http, v.violations, code, want, violations)
	}
	if n := s.audits() - before; n != audits {
		t.Errorf("%s: %d decisions were logged", name, n)
	}
	if n := s.koodrive.Count(); n != 0 {
		t.Fatalf("%s: KooDrive got %d requests", name, n)
	}
}

// succeed makes a call that must not fail.
func (s *system) succeed(t *testing.T, door string, c call) {
	t.Helper()
	if err := s.try(t.Context(), t, door, c); err != nil {
		t.Errorf("%s: %v", door, err)
	}
}

// Go's gRPC client sends no non-ASCII bytes and does not trim values; an HTTP/2 client sends any.
func TestBrokenBytesOverHTTP2(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				good := s.good()
				for _, value := range []string{"Bearer ä", "Bearer \xff\xfe", "Bearer\t" + good, " " + good, good + " ", good + "\t"} {
					if v := s.rawGRPC(t, m.call(exampleID, value)); v.reason != "REQUEST_INVALID" {
						t.Errorf("%q over gRPC: %+v", value, v)
					}
					plain := s.http
					s.http = httpClient(s.httpPort)
					transport := h2c(s.http)
					for _, door := range httpDoors {
						if v := s.fail(t.Context(), t, door, m.call(exampleID, value)); v.reason != "REQUEST_INVALID" {
							t.Errorf("%q on %s: %+v", value, door, v)
						}
					}
					transport.CloseIdleConnections()
					s.http = plain
				}
				if n := s.koodrive.Count(); n != 0 {
					t.Errorf("KooDrive got %d requests", n)
				}
			})
		})
	}
}
