package change

import (
	"cmp"
	"go/scanner"
	"go/token"
)

// span is a range of bytes, lexemes or characters. end is exclusive.
type span struct{ start, end int }

// lexeme is a token of Go code with its text.
type lexeme struct {
	span
	text string
}

// lexemes returns the tokens of a text, without those that depend on formatting: comments, the semicolons that line
// breaks stand for, and commas before closing brackets. Other languages are tokenised as if they were Go.
func lexemes(text []byte) (all []lexeme) {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(file, text, nil, 0)
	for {
		pos, kind, literal := s.Scan()
		switch {
		case kind == token.EOF:
			return all
		case kind == token.SEMICOLON && literal == "\n":
			continue
		case kind == token.RPAREN || kind == token.RBRACK || kind == token.RBRACE:
			if n := len(all); n > 0 && all[n-1].text == "," {
				all = all[:n-1]
			}
		}
		l := lexeme{text: cmp.Or(literal, kind.String())}
		l.start = file.Offset(pos)
		l.end = l.start + len(l.text)
		all = append(all, l)
	}
}

// texts returns the texts of lexemes.
func texts(lexemes []lexeme) []string {
	all := make([]string, len(lexemes))
	for i, l := range lexemes {
		all[i] = l.text
	}
	return all
}
