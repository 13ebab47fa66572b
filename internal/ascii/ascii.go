// Package ascii checks the characters of tokens, ids and header values. Other characters may be invisible or look like
// ASCII, and net/http, gRPC and proxies handle them differently. It does not limit lengths.
//
//	if token == "" || !ascii.Visible(token) {
//		return errors.New("the token must be visible ASCII characters")
//	}
package ascii

import "strings"

// Visible reports whether s has only the characters from ! to ~, so no space. An empty s is visible.
func Visible(s string) bool { return within(s, '!') }

// Printable reports whether s has only the characters from space to ~. It accepts spaces at the ends, which HTTP would
// trim.
func Printable(s string) bool { return within(s, ' ') }

// Word reports whether s has only letters, digits and the bytes of also. The empty text is a word.
func Word(s, also string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(also, c) < 0 {
			return false
		}
	}
	return true
}

// Digits reports whether s has only the digits from 0 to 9. The empty text has.
func Digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func within(s string, first byte) bool {
	for i := range len(s) {
		if s[i] < first || s[i] > '~' {
			return false
		}
	}
	return true
}
