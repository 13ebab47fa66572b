package server_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/auth/issuertest"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/rpcserver"
)

// broken is a credential by which nobody is known.
type broken struct {
	values []string // Of the header for it.
	beside []string // Further headers, and their values.
	// violation is what is wrong with the request itself. Empty: it is all right, and the caller is not known.
	violation string
	doors     []string // Nil: all of them.
}

// brokenTokens are tokens that an issuer may have made, and never for these callers.
func brokenTokens(s *known) map[string]string {
	now := time.Now().Unix()
	with := func(name string, value any) string { return s.jwt(map[string]any{name: value}) }
	signed := func(options ...issuertest.Option) string { return s.jwt(nil, options...) }
	good := s.jwt(nil)
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	tokens := map[string]string{
		"expired":                    with("exp", now-1),
		"expires now":                with("exp", now),
		"no exp":                     with("exp", nil),
		"exp is a text":              with("exp", fmt.Sprint(now+60)),
		"exp is beyond all time":     with("exp", 1e18),
		"exp is before all time":     with("exp", -1),
		"not yet valid":              with("nbf", now+60),
		"issued in the future":       with("iat", now+60),
		"nbf is a text":              with("nbf", "now"),
		"no sub":                     with("sub", nil),
		"an empty sub":               with("sub", ""),
		"a blank sub":                with("sub", " "),
		"sub is a number":            with("sub", 7),
		"sub is two lines":           with("sub", "alice\nallowed=true"),
		"sub is no UTF-8":            with("sub", "alice\ufffd"),
		"sub is long":                with("sub", strings.Repeat("a", 257)),
		"other audience":             with("aud", "kootask2"),
		"other audiences":            with("aud", []string{"Kootask", "kootask/", ""}),
		"no audience":                with("aud", nil),
		"other issuer":               with("iss", "https://other.test"),
		"the issuer and a slash":     with("iss", "https://issuer.test/"),
		"no issuer":                  with("iss", nil),
		"alg none":                   signed(issuertest.Unsigned()),
		"alg None":                   signed(issuertest.Unsigned(), issuertest.Header("alg", "None")),
		"alg none, signed":           signed(issuertest.Header("alg", "none")),
		"alg in lower case":          signed(issuertest.Header("alg", "rs256")),
		"no alg":                     signed(issuertest.Header("alg", nil)),
		"HS256 with the public key":  signed(issuertest.Secret("HS256")),
		"HS512 with the public key":  signed(issuertest.Secret("HS512")),
		"unknown kid":                signed(issuertest.Header("kid", "unknown")),
		"kid is a path":              signed(issuertest.Header("kid", "../../../dev/null")),
		"kid is a number":            signed(issuertest.Header("kid", 1)),
		"kid is empty":               signed(issuertest.Header("kid", "")),
		"no kid":                     signed(issuertest.Header("kid", nil)),
		"kid of another key":         signed(issuertest.Header("kid", s.issuer.KeyID("ES256"))),
		"key of another curve":       signed(issuertest.Alg("ES384"), issuertest.KeyOf("ES256")),
		"RS256 that is PS256":        signed(issuertest.Header("alg", "PS256")),
		"forged RS256":               signed(issuertest.Forged()),
		"forged ES256":               signed(issuertest.Alg("ES256"), issuertest.Forged()),
		"forged EdDSA":               signed(issuertest.Alg("EdDSA"), issuertest.Forged()),
		"forged, with its jwk":       signed(issuertest.Forged(), issuertest.Header("jwk", s.issuer.KeySet()[0])),
		"forged, with a jku":         signed(issuertest.Forged(), issuertest.Header("jku", "https://evil.test/keys")),
		"forged, with an x5u":        signed(issuertest.Forged(), issuertest.Header("x5u", "https://evil.test/certificate")),
		"crit":                       signed(issuertest.Header("crit", []string{"exp"})),
		"b64":                        signed(issuertest.Header("b64", false)),
		"payload is a list":          s.issuer.Sign([]byte(`[]`)),
		"payload is null":            s.issuer.Sign([]byte(`null`)),
		"payload is no JSON":         s.issuer.Sign([]byte(claim)),
		"no signature":               parts[0] + "." + parts[1] + ".",
		"two parts":                  parts[0] + "." + parts[1],
		"four parts":                 good + "." + parts[2],
		"half a signature":           good[:len(good)-100],
		"signature of another token": parts[0] + "." + strings.Split(with("sub", "bob"), ".")[1] + "." + parts[2],
		"header of another token":    encode([]byte(`{"alg":"RS256","kid":"`+s.issuer.KeyID("RS256")+`"}`)) + "." + parts[1] + "." + parts[2],
		"padded":                     good + "==",
		"quoted":                     `"` + good + `"`,
		"a comma after it":           good + ",",
		"a semicolon after it":       good + ";a=b",
		"joined by a comma":          good + ",Bearer+" + good,
		"a dot":                      ".",
		"dots":                       "..",
		"more dots":                  strings.Repeat(".", 1000),
		"garbage":                    junk,
		"garbage with dots":          junk + "." + junk + "." + junk,
		"base64 of nothing":          "e30.e30.e30",
		"15 KiB":                     strings.Repeat("x", 15<<10),
		"15 KiB of dots":             strings.Repeat(".", 15<<10),
		"15 KiB of brackets":         encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(strings.Repeat("[", 11<<10))) + ".x",
		"KooDrive's token":           token,
	}
	secret := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": s.issuer.URL(), "aud": "kootask", "sub": "a", "exp": now + 60})
	secret.Header["kid"] = s.issuer.KeyID("RS256")
	tokens["HS256 with no secret"], _ = secret.SignedString([]byte{})
	return tokens
}

// brokenCredentials are all that nobody is known by, in a mode.
func brokenCredentials(s *known) map[string]broken {
	good := s.jwt(nil)
	all := map[string]broken{
		"none":                          {},
		"empty":                         {values: []string{""}},
		"only the scheme":               {values: []string{"Bearer"}},
		"two lines":                     {values: []string{"Bearer " + good, "Bearer " + good}, violation: "REPEATED"},
		"two lines, one empty":          {values: []string{"Bearer " + good, ""}, violation: "REPEATED"},
		"two lines, one of garbage":     {values: []string{"Bearer " + junk, "Bearer " + good}, violation: "REPEATED"},
		"joined by a comma and a blank": {values: []string{"Bearer " + good + ", Bearer " + good}},
		"non-ASCII":                     {values: []string{"Bearer ä" + good}, violation: "MALFORMED", doors: httpDoors},
		"no UTF-8":                      {values: []string{"Bearer \xff" + good}, violation: "MALFORMED", doors: httpDoors},
		"a tab for a blank":             {values: []string{"Bearer\t" + good}, violation: "MALFORMED", doors: httpDoors},
		"a tab after the space":         {values: []string{"Bearer \t" + good}, violation: "MALFORMED", doors: httpDoors},
		"a blank within":                {values: []string{"Bearer " + good[:20] + " " + good[20:]}},
		"Basic":                         {values: []string{"Basic " + good}},
		"AT":                            {values: []string{"AT " + good}},
		"an app's signature":            {values: []string{signed}},
		"no scheme":                     {values: []string{good}},
		"another scheme":                {values: []string{"DPoP " + good}},
		"the scheme with a plus":        {values: []string{"Bearer+" + good}},
		"the scheme with a colon":       {values: []string{"Bearer: " + good}},
		"the scheme twice":              {values: []string{"Bearer Bearer " + good}},
	}
	for name, made := range brokenTokens(s) {
		all[name] = broken{values: []string{"Bearer " + made}}
	}
	// It is not read from anywhere else.
	for _, name := range []string{
		"grpc-metadata-x-kootask-authorization", "grpc-metadata-authorization", "proxy-authorization", "x-forwarded-authorization",
		"kootask-authorization", "x-authorization", "x-kootask-token", "x_kootask_authorization", "kootask-caller", "x-kootask-caller",
		"x-user-token", "x-goog-iap-jwt-assertion",
	} {
		all["as "+name] = broken{beside: []string{name, "Bearer " + good}}
	}
	all["as a cookie"] = broken{beside: []string{"cookie", "authorization=" + good + "; x-kootask-authorization=" + good}}
	all["as the gateway's word"] = broken{beside: []string{"kootask-caller", "1", "grpc-metadata-kootask-caller", "1"}}
	all["as an address"] = broken{beside: []string{"x-forwarded-for", "127.0.0.1", "x-real-ip", "::1", "forwarded", "for=127.0.0.1"}}
	switch {
	case s.mode.header == "authorization":
		all["where it is otherwise"] = broken{beside: []string{"x-kootask-authorization", "Bearer " + good}}
	case s.mode.app:
		all["where it is otherwise"] = broken{beside: []string{"authorization", "Bearer " + good}}
	}
	return all
}

// The scheme of a token is read in any case and with any number of spaces after it, at every door and in every header.
func TestSpellingsOfTheScheme(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer  ", "Bearer" + strings.Repeat(" ", 100)} {
					for _, door := range doors {
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
						t.Errorf("KooDrive was sent %q", sent)
					}
				}
			})
		})
	}
}

// Whoever is not known is told so in the same words everywhere, and KooDrive is not asked. Each decision is written down.
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
					on := doors
					if row.doors != nil {
						on = row.doors
					}
					for _, door := range on {
						s.refused(t, what+", "+door, door, c, row)
					}
				}
				for _, door := range doors { // All else was right.
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
		t.Errorf("%s: %d decisions were written down", name, n)
	}
	if n := s.koodrive.Count(); n != 0 {
		t.Fatalf("%s: KooDrive was asked %d times", name, n)
	}
}

// succeed makes a call that must not fail.
func (s *system) succeed(t *testing.T, door string, c call) {
	t.Helper()
	if err := s.try(t.Context(), t, door, c); err != nil {
		t.Errorf("%s: %v", door, err)
	}
}

// Go's gRPC client does not send what is not ASCII, and trims nothing: an HTTP/2 client does as it is told.
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
					t.Errorf("KooDrive was asked %d times", n)
				}
			})
		})
	}
}

// rawGRPC makes a GetTask that must fail, with headers as they are.
func (s *known) rawGRPC(t *testing.T, c call) verdict {
	t.Helper()
	message, _ := proto.Marshal(&taskv1.GetTaskRequest{TaskId: c.id})
	frame := string([]byte{0, 0, 0, 0, byte(len(message))}) + string(message)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://kootask.test"+taskv1.TaskService_GetTask_FullMethodName, strings.NewReader(frame))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	for i := 0; i < len(c.header); i += 2 {
		r.Header.Add(c.header[i], c.header[i+1])
	}
	client := httpClient(s.grpcPort)
	transport := h2c(client)
	transport.DialContext = s.roomy
	defer transport.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	s.out.response(resp)
	raw, err := base64.RawStdEncoding.DecodeString(resp.Header.Get("Grpc-Status-Details-Bin"))
	st := &spb.Status{}
	if err != nil || proto.Unmarshal(raw, st) != nil {
		t.Fatalf("%v: %v", err, resp.Header)
	}
	return read(t, status.FromProto(st))
}

// roomy connects to the gRPC port, with room for a few bytes on the way: client and server both begin by writing.
func (s *system) roomy(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.grpcPort.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	relay := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = to.Close(), from.Close()
	}
	go relay(conn, far)
	go relay(far, conn)
	return near, nil
}

// groups are those of a user, as issuers name them.
func groups(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%08x-1111-2222-3333-%012x", i, i))
	}
	return all
}

// A token may be as long as a request's header has room for: issuers put a user's groups into it. A credential for KooDrive may
// not, and what is longer gets a clear answer.
func TestLongCallerTokens(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				for _, n := range []int{0, 60, 100, 150, 260} {
					made := s.jwt(map[string]any{"groups": groups(n)})
					for _, door := range doors {
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
					for _, door := range doors {
						if v := s.fail(t.Context(), t, door, c); !slices.Equal(v.violations, []string{"authorization TOO_LONG"}) {
							t.Errorf("a long credential for KooDrive on %s: %+v", door, v)
						}
					}
				}
				if n := s.koodrive.Count() - before; n != 0 {
					t.Errorf("KooDrive was asked %d times", n)
				}
			})
		})
	}
}

// What is no header, or larger than one may be, comes to nobody.
func TestBrokenHeadersComeToNobody(t *testing.T) {
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
					t.Errorf("KooDrive was asked %d times, and %d decisions made", n, s.audits())
				}
			})
		})
	}
}

// Without callers that have to be known, the only credential is the one for KooDrive. What cannot be one goes no further; what
// can is KooDrive's to judge, a JWT too.
func TestBrokenKooDriveCredentials(t *testing.T) {
	const date = "20240831T143829Z"
	for name, row := range map[string]struct {
		header []string
		want   string
	}{
		"none":                      {nil, ""},
		"empty":                     {[]string{"authorization", ""}, ""},
		"elsewhere":                 {[]string{"x-kootask-authorization", "Bearer " + token}, ""},
		"smuggled":                  {[]string{"grpc-metadata-authorization", "Bearer " + token, "proxy-authorization", "Bearer " + token}, ""},
		"a cookie":                  {[]string{"cookie", "authorization=" + token}, ""},
		"only the scheme":           {[]string{"authorization", "Bearer"}, "authorization MALFORMED"},
		"only the other scheme":     {[]string{"authorization", "AT"}, "sent"},
		"two lines":                 {append(bearer[:2:2], bearer...), "authorization REPEATED"},
		"two lines, one empty":      {append(bearer[:2:2], "authorization", ""), "authorization REPEATED"},
		"joined":                    {[]string{"authorization", "Bearer a, Bearer b"}, "authorization MALFORMED"},
		"two spaces within":         {[]string{"authorization", "Bearer a  b"}, "authorization MALFORMED"},
		"two spaces":                {[]string{"authorization", "Bearer  a"}, "sent"},
		"8 KiB":                     {[]string{"authorization", "Bearer " + strings.Repeat("x", 8<<10)}, "authorization TOO_LONG"},
		"Basic":                     {[]string{"authorization", "Basic dTpw"}, "authorization MALFORMED"},
		"the scheme twice":          {[]string{"authorization", "Bearer Bearer a"}, "authorization MALFORMED"},
		"Digest":                    {[]string{"authorization", `Digest username="a"`}, "authorization MALFORMED"},
		"a signature of nothing":    {[]string{"authorization", "HMAC-SHA256 AppId=a", "x-user-id", "1", "x-date", date}, "authorization MALFORMED"},
		"a signature with blanks":   {[]string{"authorization", strings.ReplaceAll(signed, ",", ", "), "x-user-id", "1", "x-date", date}, "authorization MALFORMED"},
		"a signature without user":  {[]string{"authorization", signed, "x-date", date}, "x-user-id MISSING"},
		"a signature without date":  {[]string{"authorization", signed, "x-user-id", "1"}, "x-date MISSING"},
		"a signature with no date":  {[]string{"authorization", signed, "x-user-id", "1", "x-date", "2024-08-31"}, "x-date MALFORMED"},
		"a signature, a field more": {[]string{"authorization", signed + ",A=b", "x-user-id", "1", "x-date", date}, "authorization MALFORMED"},
		"a JWT":                     {[]string{"authorization", "Bearer e30.e30.e30"}, "sent"},
		"garbage":                   {[]string{"authorization", junk}, "sent"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				for _, door := range doors {
					before := s.koodrive.Count()
					v := s.fail(t.Context(), t, door, call{id: taskID, header: row.header})
					want, violations, sent := "REQUEST_INVALID", []string{row.want}, false
					switch row.want {
					case "":
						want, violations = "CREDENTIAL_MISSING", nil
					case "sent":
						want, violations, sent = "CREDENTIAL_REJECTED", nil, true
					}
					if v.reason != want || !slices.Equal(v.violations, violations) || s.koodrive.Count() > before != sent {
						t.Errorf("%s: %s %q, and KooDrive was asked %d times", door, v.reason, v.violations, s.koodrive.Count()-before)
					}
				}
			})
		})
	}
}
