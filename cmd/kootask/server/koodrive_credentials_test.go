package server_test

import (
	"slices"
	"strings"
	"testing"
)

// Without authentication, the only credential is the one for KooDrive. An invalid one is refused; any other is sent to
// KooDrive, a JWT too.
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
		"a signature with spaces":   {[]string{"authorization", strings.ReplaceAll(signed, ",", ", "), "x-user-id", "1", "x-date", date}, "authorization MALFORMED"},
		"a signature without user":  {[]string{"authorization", signed, "x-date", date}, "x-user-id MISSING"},
		"a signature without date":  {[]string{"authorization", signed, "x-user-id", "1"}, "x-date MISSING"},
		"a signature with no date":  {[]string{"authorization", signed, "x-user-id", "1", "x-date", "2024-08-31"}, "x-date MALFORMED"},
		"a signature, a field more": {[]string{"authorization", signed + ",A=b", "x-user-id", "1", "x-date", date}, "authorization MALFORMED"},
		"a JWT":                     {[]string{"authorization", "Bearer e30.e30.e30"}, "sent"},
		"garbage":                   {[]string{"authorization", junk}, "sent"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				for _, door := range callerDoors {
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
						t.Errorf("%s: %s %q, and KooDrive got %d requests", door, v.reason, v.violations, s.koodrive.Count()-before)
					}
				}
			})
		})
	}
}
