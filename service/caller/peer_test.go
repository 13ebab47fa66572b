package caller_test

import (
	"net/http"
	"testing"

	"github.com/kootask/kootask/service/caller"
)

// forwarded are forwarding headers as proxies and clients send them, with the resulting peer of a connection from 192.0.2.1.
var forwarded = map[string]struct {
	hops  int
	lines []string
	want  string
}{
	"nobody is believed":           {0, []string{"198.51.100.1"}, "192.0.2.1"},
	"no messages":                  {0, nil, "192.0.2.1"},
	"nothing is said by one":       {1, nil, "192.0.2.1"},
	"nothing is said by two":       {2, nil, "192.0.2.1"},
	"empty":                        {1, []string{""}, "192.0.2.1"},
	"one":                          {1, []string{"198.51.100.1"}, "198.51.100.1"},
	"the client's header":          {1, []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
	"in a line of its own":         {1, []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1"},
	"in many":                      {1, []string{"203.0.113.9,203.0.113.8", "203.0.113.7, 198.51.100.1"}, "198.51.100.1"},
	"two":                          {2, []string{"203.0.113.9, 198.51.100.1, 192.0.2.7"}, "198.51.100.1"},
	"two, in two lines":            {2, []string{"203.0.113.9, 198.51.100.1", "192.0.2.7"}, "198.51.100.1"},
	"two, past the first":          {2, []string{"198.51.100.1"}, "192.0.2.1"},
	"two, and nobody else":         {2, []string{"198.51.100.1, 192.0.2.7"}, "198.51.100.1"},
	"no spaces":                    {2, []string{"203.0.113.9,198.51.100.1,192.0.2.7"}, "198.51.100.1"},
	"many spaces":                  {1, []string{"  203.0.113.9 ,\t198.51.100.1  "}, "198.51.100.1"},
	"with a port":                  {1, []string{"198.51.100.1:4711"}, "198.51.100.1"},
	"IPv6":                         {1, []string{"2001:db8::1"}, "2001:db8::/56"},
	"IPv6 with a port":             {1, []string{"[2001:db8::1]:4711"}, "2001:db8::/56"},
	"IPv6, on a link":              {1, []string{"fe80::1%eth0"}, "fe80::1"},
	"IPv6, on a link, with a port": {1, []string{"[fe80::1%eth0]:1"}, "fe80::1"},
	"IPv6 in brackets":             {1, []string{"[2001:db8::1]"}, "2001:db8::/56"},
	"IPv6 in brackets, on a link":  {1, []string{"[fe80::1%eth0]"}, "fe80::1"},
	"IPv6 in brackets, two":        {2, []string{" [2001:db8::1]\t, [2001:db8:0:100::1]"}, "2001:db8::/56"},
	"IPv4 in IPv6, in brackets":    {1, []string{"[::ffff:198.51.100.1]"}, "198.51.100.1"},
	"IPv4 in brackets":             {1, []string{"[198.51.100.1]"}, "192.0.2.1"},
	"one bracket before":           {1, []string{"[2001:db8::1"}, "192.0.2.1"},
	"one bracket after":            {1, []string{"2001:db8::1]"}, "192.0.2.1"},
	"two brackets":                 {1, []string{"[[2001:db8::1]]"}, "192.0.2.1"},
	"nothing in brackets":          {1, []string{"[]"}, "192.0.2.1"},
	"spaces in brackets":           {1, []string{"[ 2001:db8::1 ]"}, "192.0.2.1"},
	"a port that is empty":         {1, []string{"[2001:db8::1]:"}, "192.0.2.1"},
	"quoted":                       {1, []string{`"[2001:db8::1]"`}, "192.0.2.1"},
	"IPv4, quoted":                 {1, []string{`"198.51.100.1"`}, "192.0.2.1"},
	"IPv4 in IPv6":                 {1, []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
	"garbage":                      {1, []string{"unknown"}, "192.0.2.1"},
	"garbage before it":            {1, []string{"\x00<evil>,,,, 198.51.100.1"}, "198.51.100.1"},
	"garbage after it":             {1, []string{"198.51.100.1, unknown"}, "192.0.2.1"},
	"a comma after it":             {1, []string{"198.51.100.1,"}, "192.0.2.1"},
	"a name":                       {1, []string{"localhost"}, "192.0.2.1"},
	"almost an address":            {1, []string{"198.51.100.256"}, "192.0.2.1"},
	"in octal":                     {1, []string{"198.51.100.010"}, "192.0.2.1"},
	"short":                        {1, []string{"198.51.100"}, "192.0.2.1"},
	"of RFC 7239":                  {1, []string{"for=198.51.100.1"}, "192.0.2.1"},
}

func TestForwarded(t *testing.T) {
	for name, row := range forwarded {
		header := http.Header{"X-Forwarded-For": row.lines, "Forwarded": {"for=203.0.113.1"}, "X-Real-Ip": {"203.0.113.2"}}
		if got := caller.Peer(caller.Forwarded("192.0.2.1:1000", row.hops, header.Values)); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}
