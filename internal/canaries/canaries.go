// Package canaries finds a text that must not appear in an output, unchanged or in the encodings that programs use for
// output. It is for tests, and knows nothing of this service.
//
//	token := canaries.New("the token", "s3cr3t-t0ken")
//	if form := token.In(log); form != "" {
//		t.Errorf("the log contains %s, %s", token.Name, form)
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

// Canary is a text to find. It is safe for concurrent use.
type Canary struct {
	// Name is its name in reports.
	Name  string
	forms []form
}

type form struct{ name, text string }

// New returns a Canary for a text that appears nowhere else by chance: about ten bytes or more. A secret that may be
// truncated should contain the text several times.
func New(name, text string) *Canary {
	c := &Canary{Name: name}
	c.add("as it is", text)
	for _, once := range escapes {
		escaped := once.escape(text)
		c.add(once.name, escaped)
		for _, twice := range escapes { // For example, a log quotes an error that quotes a text.
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

// add adds a form, unless its text contains a form that is already there.
func (c *Canary) add(name, text string) {
	for _, f := range c.forms {
		if strings.Contains(text, f.text) {
			return
		}
	}
	c.forms = append(c.forms, form{name, text})
}

// In returns the form in which s contains the text, empty if it does not.
func (c *Canary) In(s string) string {
	for _, f := range c.forms {
		if strings.Contains(s, f.text) {
			return f.name
		}
	}
	return ""
}

// escapes are the encodings that leave letters and digits unchanged.
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
	_ = encoder.Encode(s) // A string always has a JSON form.
	return unquote(strings.TrimSuffix(b.String(), "\n"))
}

func unquote(s string) string { return s[1 : len(s)-1] }

// inBase64 returns the common part of the encodings of all texts that contain this one after 3n+at bytes. It leaves out
// the padding and the characters that also encode bits of neighbouring bytes.
func inBase64(encoding *base64.Encoding, text string, at int) string {
	const bits = 6
	first, last := 8*at, 8*(at+len(text))
	encoded := encoding.EncodeToString([]byte(strings.Repeat("\x00", at) + text))
	return encoded[(first+bits-1)/bits : last/bits]
}
