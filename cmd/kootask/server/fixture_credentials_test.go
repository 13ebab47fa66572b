package server_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kootask/kootask/service/auth/issuertest"
)

// broken is a credential that authenticates nobody.
type broken struct {
	values []string // Of the credential's header.
	beside []string // Further headers, as names and values.
	// violation is the expected violation of the request. Empty: the request is valid, and the caller is unauthenticated.
	violation string
	doors     []string // Nil: all of them.
}

// brokenTokens are tokens that an issuer may have made, but not for callers of this service.
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
		"a sub of a space":           with("sub", " "),
		"sub is a number":            with("sub", 7),
		"sub is two lines":           with("sub", "alice\nallowed=true"),
		"sub is not UTF-8":           with("sub", "alice\ufffd"),
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
		"payload is not JSON":        s.issuer.Sign([]byte(claim)),
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

// brokenCredentials are all credentials that must be refused in a mode.
func brokenCredentials(s *known) map[string]broken {
	good := s.jwt(nil)
	all := map[string]broken{
		"none":                          {},
		"empty":                         {values: []string{""}},
		"only the scheme":               {values: []string{"Bearer"}},
		"two lines":                     {values: []string{"Bearer " + good, "Bearer " + good}, violation: "REPEATED"},
		"two lines, one empty":          {values: []string{"Bearer " + good, ""}, violation: "REPEATED"},
		"two lines, one of garbage":     {values: []string{"Bearer " + junk, "Bearer " + good}, violation: "REPEATED"},
		"joined by a comma and a space": {values: []string{"Bearer " + good + ", Bearer " + good}},
		"non-ASCII":                     {values: []string{"Bearer ä" + good}, violation: "MALFORMED", doors: httpDoors},
		"not UTF-8":                     {values: []string{"Bearer \xff" + good}, violation: "MALFORMED", doors: httpDoors},
		"a tab for a space":             {values: []string{"Bearer\t" + good}, violation: "MALFORMED", doors: httpDoors},
		"a tab after the space":         {values: []string{"Bearer \t" + good}, violation: "MALFORMED", doors: httpDoors},
		"a space within":                {values: []string{"Bearer " + good[:20] + " " + good[20:]}},
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
	// The token is read from no other place.
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
