package change

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// decl is a declaration, or a whole file that is not Go.
type decl struct {
	file
	span
	name string // In the form of [Change.In].
}

// all returns the places where the declaration contains the pattern.
func (d decl) all(pattern []lexeme) (found []span) {
	text := d.lexemes()
	for i := range len(text) - len(pattern) + 1 {
		if slices.Equal(texts(text[i:i+len(pattern)]), texts(pattern)) {
			found = append(found, span{text[i].start, text[i+len(pattern)-1].end})
		}
	}
	return found
}

// lexemes returns the declaration's lexemes, with their positions in the file.
func (d decl) lexemes() []lexeme {
	all := lexemes(d.text[d.start:d.end])
	for i := range all {
		all[i].start += d.start
		all[i].end += d.start
	}
	return all
}

// at returns a position in the declaration as file and line.
func (d decl) at(offset int) string {
	return fmt.Sprintf("%s:%d", d.path, 1+bytes.Count(d.text[:offset], []byte("\n")))
}

// missing returns the error about a text that the declaration does not contain. It quotes the most similar text. The
// search compares characters, because a renamed identifier often keeps a part of its name, and then extends the text to
// whole tokens.
func (d decl) missing(pattern []lexeme, from string) error {
	text := d.lexemes()
	of := []lexeme{} // The lexeme of each byte of the joined text.
	for _, l := range text {
		of = append(of, slices.Repeat([]lexeme{l}, len(l.text))...)
	}
	wanted := strings.Join(texts(pattern), "")
	part, edits := nearest([]byte(strings.Join(texts(text), "")), []byte(wanted))
	if 2*edits > len(wanted) {
		return fmt.Errorf("%s does not contain %q, nor anything like it: see %s", d.name, from, d.at(d.start))
	}
	start, end := of[part.start].start, of[part.end-1].end
	quoted := strings.Join(strings.Fields(string(d.text[start:end])), " ")
	return fmt.Errorf("%s does not contain %q; the nearest text is %q, at %s", d.name, from, quoted, d.at(start))
}

// ambiguous returns the error about a text that the declaration contains several times.
func (d decl) ambiguous(found []span, from string) error {
	places := make([]string, len(found))
	for i, f := range found {
		places[i] = d.at(f.start)
	}
	return fmt.Errorf("%s contains %q %d times: quote more of one of them (%s)",
		d.name, from, len(found), strings.Join(places, ", "))
}
