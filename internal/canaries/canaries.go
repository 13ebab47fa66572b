// Package canaries finds a text that must not have come out, in whatever form it has: as it is, or encoded as programs
// encode what they print. It is for tests, and knows nothing of this service.
//
//	token := canaries.New("the token", "s3cr3t-t0ken")
//	if form := token.In(log); form != "" {
//		t.Errorf("the log holds %s, %s", token.Name, form)
//	}
package canaries

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Canary is such a text. It is safe for concurrent use.
type Canary struct {
	// Name is what it is called in reports.
	Name  string
	forms []form
}

type form struct{ name, text string }

// New returns a Canary for a text that is to be found nowhere else by chance: of ten bytes or more, or nearly. What may be cut
// short somewhere is found if it holds the text several times.
func New(name, text string) *Canary {
	c := &Canary{Name: name}
	c.add("as it is", text)
	for _, once := range escapes {
		escaped := once.escape(text)
		c.add(once.name, escaped)
		for _, twice := range escapes { // A log quotes an error, which quotes a text.
			c.add(once.name+", and then "+twice.name, twice.escape(escaped))
		}
	}
	c.add("in hex", hex.EncodeToString([]byte(text)))
	c.add("in upper-case hex", strings.ToUpper(hex.EncodeToString([]byte(text))))
	c.add("as decimal bytes", strings.Trim(fmt.Sprintf("%d", []byte(text)), "[]"))
	for at := range 3 {
		c.add(fmt.Sprint("in base64, at alignment ", at), inBase64(base64.RawStdEncoding, text, at))
		c.add(fmt.Sprint("in base64 for URLs, at alignment ", at), inBase64(base64.RawURLEncoding, text, at))
	}
	return c
}

// add takes a form in, unless it is one of those that are looked for already.
func (c *Canary) add(name, text string) {
	for _, f := range c.forms {
		if strings.Contains(text, f.text) {
			return
		}
	}
	c.forms = append(c.forms, form{name, text})
}

// In returns the form in which the text is in s, empty if it is not.
func (c *Canary) In(s string) string {
	for _, f := range c.forms {
		if strings.Contains(s, f.text) {
			return f.name
		}
	}
	return ""
}

// escapes are what leaves letters and digits as they are.
var escapes = []struct {
	name   string
	escape func(string) string
}{
	{"escaped as JSON", func(s string) string { return asJSON(s, false) }},
	{"escaped as JSON for HTML", func(s string) string { return asJSON(s, true) }},
	{"quoted by Go", func(s string) string { return unquote(strconv.Quote(s)) }},
	{"quoted by Go as ASCII", func(s string) string { return unquote(strconv.QuoteToASCII(s)) }},
	{"escaped for a query", url.QueryEscape},
	{"escaped for a path", url.PathEscape},
}

func asJSON(s string, html bool) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(html)
	_ = encoder.Encode(s) // A string has a JSON form.
	return unquote(strings.TrimSuffix(b.String(), "\n"))
}

func unquote(s string) string { return s[1 : len(s)-1] }

// inBase64 is what is the same in the encoding of all texts that hold this one after 3n+at bytes: the characters into which
// bits of its neighbours go are left out, and with them the padding.
func inBase64(encoding *base64.Encoding, text string, at int) string {
	const bits = 6
	first, last := 8*at, 8*(at+len(text))
	encoded := encoding.EncodeToString([]byte(strings.Repeat("\x00", at) + text))
	return encoded[(first+bits-1)/bits : last/bits]
}
