package gateway_test

import (
	"strings"
	"testing"

	"github.com/kootask/kootask/service/gateway"
)

// A configured origin has to have the form that browsers send, or it would match no request.
func TestCheckOrigin(t *testing.T) {
	for origin, good := range map[string]bool{
		"https://tasks.example":             true,
		"http://tasks.example":              true,
		"https://tasks.example:8443":        true,
		"http://localhost:3000":             true,
		"http://127.0.0.1:3000":             true,
		"https://[2001:db8::1]:8443":        true,
		"https://xn--bcher-kva.example":     true,
		"":                                  false,
		"*":                                 false,
		"null":                              false,
		"tasks.example":                     false,
		"//tasks.example":                   false,
		"https://":                          false,
		"https:tasks.example":               false,
		"https://:8443":                     false,
		"https://tasks.example/":            false,
		"https://tasks.example/a":           false,
		"https://tasks.example?a":           false,
		"https://tasks.example?":            false,
		"https://tasks.example#a":           false,
		"https://tasks.example#":            false,
		"https://user@tasks.example":        false,
		"https://user:a@tasks.example":      false,
		"https://@tasks.example":            false,
		"https://Tasks.example":             false,
		"HTTPS://tasks.example":             false,
		"https://bücher.example":            false,
		"https://tasks.example:443":         false,
		"http://tasks.example:80":           false,
		"http://tasks.example:443":          true,
		"https://tasks.example:":            false,
		"https://tasks.example:a":           false,
		"https://tasks.example:0443":        false,
		"https://*.example":                 false,
		"https://tasks.example *":           false,
		" https://tasks.example":            false,
		"https://tasks.example\n":           false,
		"https://tasks.example\x00":         false,
		"https://a.example,https://b.other": false,
		"https://%74asks.example":           false,
		"https://tasks.example\\a":          false,
		"ftp://tasks.example":               false,
		"file://":                           false,
		"javascript://tasks.example":        false,
		"chrome-extension://abcdef":         false,
	} {
		err := gateway.CheckOrigin(origin)
		if (err == nil) != good {
			t.Errorf("%q: %v", origin, err)
		}
		if err != nil && origin != "" && strings.Contains(err.Error(), origin+"\n") {
			t.Errorf("%q is quoted", origin)
		}
	}
}

// Whatever passes is written as browsers write it, and stays itself.
func FuzzCheckOrigin(f *testing.F) {
	for _, seed := range []string{"https://tasks.example", "http://[::1]:3000", "https://a.b:1//", "https://a]", "http://a:080"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		if gateway.CheckOrigin(origin) != nil {
			return
		}
		if strings.ToLower(origin) != origin || strings.ContainsAny(origin, " ,*?#@%\\\"'<>\r\n\t\x00") || strings.Count(origin, "/") != 2 {
			t.Errorf("%q is an origin", origin)
		}
	})
}
