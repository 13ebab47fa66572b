package server

import (
	"context"
	"log/slog"
	"strings"
)

// libraryLog takes what net/http says by itself, a line at a time.
type libraryLog struct{ log *slog.Logger }

// handshakeError is how net/http begins to tell of a connection that has not become one; an address follows, a colon, and why.
const handshakeError = "http: TLS handshake error from "

// Write logs a line. Why a handshake has failed is left out: it quotes what the client has sent. Anybody can cause that, so it
// is not worth a warning either.
func (l libraryLog) Write(line []byte) (int, error) {
	text, level := strings.TrimSuffix(string(line), "\n"), slog.LevelWarn
	if from, ok := strings.CutPrefix(text, handshakeError); ok {
		address, _, _ := strings.Cut(from, ": ")
		text, level = handshakeError+address, slog.LevelDebug
	}
	l.log.LogAttrs(context.Background(), level, text)
	return len(line), nil
}
