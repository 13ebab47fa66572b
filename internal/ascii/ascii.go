// Package ascii checks the characters of tokens, ids and header values. Other characters may be invisible or look like
// ASCII, and net/http, gRPC and proxies handle them differently. It does not limit lengths.
//
//	if token == "" || !ascii.Visible(token) {
//		return errors.New("the token must be visible ASCII characters")
//	}
package ascii

// Visible reports whether s has only the characters from ! to ~, so no space. An empty s is visible.
func Visible(s string) bool { return within(s, '!') }

// Printable reports whether s has only the characters from space to ~. It accepts spaces at the ends, which HTTP would
// trim.
func Printable(s string) bool { return within(s, ' ') }

func within(s string, first byte) bool {
	for i := range len(s) {
		if s[i] < first || s[i] > '~' {
			return false
		}
	}
	return true
}
