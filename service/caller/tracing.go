package caller

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"github.com/kootask/kootask/internal/ascii"
)

const maxRequestID = 64

func isRequestID(id string) bool { return id != "" && len(id) <= maxRequestID && ascii.Word(id, "._-") }

// RequestID returns the request's id if it may be logged and sent back; otherwise a random one.
func RequestID(values func(name string) []string) string {
	if given := values(HeaderRequestID); len(given) == 1 && isRequestID(given[0]) {
		return given[0]
	}
	return hexText(randomID())
}

// randomID returns an id that no other has. It need not be secret: ids are sent back and logged.
func randomID() (id [16]byte) {
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

func hexText(id [16]byte) string {
	var text [2 * len(id)]byte
	hex.Encode(text[:], id[:])
	return string(text[:])
}

// traceID returns the trace id of the request's W3C traceparent, or a random one.
func traceID(values func(name string) []string) (id [16]byte) {
	if given := values(HeaderTraceParent); len(given) == 1 && isTraceParent(given[0]) {
		_, _ = hex.Decode(id[:], []byte(given[0][3:35]))
	}
	if id == [16]byte{} {
		return randomID()
	}
	return id
}

// isTraceParent reports whether a text is a version, a trace id, a parent id and flags in lower-case hexadecimal digits,
// like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01. A later version may have more behind that.
func isTraceParent(s string) bool {
	const length, maxMore = 55, 200
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	for _, part := range []string{s[:2], s[3:35], s[36:52], s[53:length]} {
		for i := range len(part) {
			if (part[i] < '0' || part[i] > '9') && (part[i] < 'a' || part[i] > 'f') {
				return false
			}
		}
	}
	more := s[length:]
	return more == "" || more[0] == '-' && len(more) <= 1+maxMore && ascii.Visible(more)
}
