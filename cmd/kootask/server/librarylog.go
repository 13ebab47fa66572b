package server

import (
	"context"
	"log/slog"
	"regexp"
	"strings"

	"github.com/kootask/kootask/service/caller"
)

// libraryLog takes what net/http says by itself, a line at a time. Nearly all of that is about connections that clients break,
// so the lines have what they are sampled by: a peer, empty if there is none, and an outcome.
type libraryLog struct{ log *slog.Logger }

// libraryOutcome is the outcome of all lines of the library. It is in no metric.
const libraryOutcome = "HTTP_LIBRARY"

// fromClient is how a line names the client that it is about; why follows.
var fromClient = regexp.MustCompile(`^(.* from (?:client )?)(\S+:\d+)(: .*)?$`)

// Write logs a line. Why a client's connection has failed is left out: it may quote what the client has sent. Anybody can cause
// that, so it is not worth a warning either.
func (l libraryLog) Write(line []byte) (int, error) {
	text, level, peer := strings.TrimSuffix(string(line), "\n"), slog.LevelWarn, ""
	if m := fromClient.FindStringSubmatch(text); m != nil {
		text, level, peer = m[1]+m[2], slog.LevelDebug, caller.Peer(m[2])
	}
	l.log.LogAttrs(context.Background(), level, text, slog.String("peer", peer), slog.String("outcome", libraryOutcome))
	return len(line), nil
}
