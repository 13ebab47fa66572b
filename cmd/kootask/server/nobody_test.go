package server_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kootask/kootask/service/auth/issuertest"
)

// junkHeaders are headers without a meaning, as names in lower case and values.
func junkHeaders(s *known) (pairs []string) {
	for i := range 200 {
		pairs = append(pairs, "x-junk-"+strconv.Itoa(i), "junk")
	}
	other := "Bearer " + s.jwt(map[string]any{"sub": "mallory"}, issuertest.Alg("EdDSA"))
	for i, name := range []string{
		"cookie", "x-aiuser-id", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "range", "if-none-match", "origin", "referer",
		"proxy-authorization", "x-forwarded-authorization", "x-api-key", "x-amz-security-token", "x-app-id", "x-traceid", "tracestate", "baggage",
		"grpc-metadata-authorization", "grpc-metadata-x-user-id", "grpc-metadata-x-kootask-authorization", "grpc-metadata-foo",
		"x-http-method-override", "kootask-caller", "grpc-metadata-kootask-caller", "kootask-peer", "grpcgateway-authorization",
	} {
		value := junk
		if i%4 == 0 { // Their sum must fit into a header.
			value = other
		}
		pairs = append(pairs, name, value)
	}
	return pairs
}

// Of all headers, only those of a fixed list reach KooDrive, and nothing that authenticates the caller to kootask: see
// TestHeadersThatPass.
func TestHeadersThatPassOfKnownCallers(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				want := []string{"Accept", "Accept-Encoding", "Authorization", "Language", "User-Agent", "X-Traceid", "X-User-Id"}
				if m.app {
					want = slices.Insert(want, 5, "X-Date") // The date beside a token is not sent.
				}
				c := m.call(exampleID, "Bearer "+s.jwt(nil, issuertest.Alg("EdDSA")))
				c.header = append(c.header, "language", "zh_CN", "traceparent", traceParent, "x-request-id", "mine")
				if !m.app {
					c.header = append(c.header, "x-user-id", user, "x-date", "20240831T143829Z")
				}
				switch { // Headers without a meaning in the mode.
				case m.header == "authorization":
					c.header = append(c.header, "x-kootask-authorization", "Bearer "+junk)
				case m.app:
					c.header = append(c.header, bearer...)
				}
				c.header = append(c.header, junkHeaders(s)...)
				for _, door := range callerDoors {
					before := s.koodrive.Count()
					s.succeed(t, door, c)
					if n := s.koodrive.Count() - before; n != 1 && (door == "grpc get" || door == "rest") {
						t.Errorf("%s: KooDrive got %d requests", door, n)
					}
				}
				for _, r := range s.koodrive.Requests() {
					if got := slices.Sorted(maps.Keys(r.Header)); !slices.Equal(got, want) {
						t.Errorf("KooDrive got %v, want %v", got, want)
					}
					sent := r.Header.Get("Authorization")
					if m.app != strings.HasPrefix(sent, "HMAC-SHA256 AppId=app,") || !m.app && sent != "Bearer "+token ||
						r.Header.Get("X-User-Id") != user || r.Header.Get("Language") != "zh-CN" {
						t.Errorf("KooDrive got %v", r.Header)
					}
				}
			})
		})
	}
}

// The gateway has its own connection to the gRPC server. Nobody else is trusted like it: neither by forging its headers nor by
// connecting from this machine.
func TestNobodyIsTheGateway(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				inner := s.follow(t.Context(), t, ndjson, m.call(exampleID, s.good())) // Number 1 over that connection.
				if last := inner[len(inner)-1]; last.name != "end" {
					t.Fatalf("%+v", last)
				}
				asked := s.koodrive.Count()
				for _, address := range []string{"192.0.2.1:1", "127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
					client := s.from(t, address)
					for _, header := range [][]string{
						nil, {"kootask-caller", "1"}, {"kootask-caller", "2"}, {"kootask-caller", "1", "kootask-caller", "1"},
						{"grpc-metadata-kootask-caller", "1"}, {"x-forwarded-for", "127.0.0.1"}, {"host", "localhost"}, {"x-kootask-caller", "sub=alice"},
					} {
						for _, door := range callerDoors {
							c := m.call(exampleID)
							c.header = append(c.header, header...)
							if v := client.fail(t.Context(), t, door, c); v.reason != "CALLER_UNAUTHENTICATED" || v.http != 0 && v.http != http.StatusUnauthorized {
								t.Errorf("%s, %s, %q: %+v", address, door, header, v)
							}
						}
					}
				}
				if n := s.koodrive.Count() - asked; n != 0 {
					t.Errorf("KooDrive got %d requests", n)
				}
			})
		})
	}
}
