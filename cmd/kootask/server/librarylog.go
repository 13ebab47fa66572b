package server

import (
	"context"
	"log/slog"
	"regexp"
	"strings"

	"github.com/kootask/kootask/service/caller"
)

// libraryLog takes net/http's own log lines, one at a time. Nearly all of them are about connections that clients break, so they
// get the attributes by which lines are sampled: a peer, empty if unknown, and an outcome.
type libraryLog struct{ log *slog.Logger }

// libraryOutcome is the outcome of all lines of the library. Metrics do not have it.
const libraryOutcome = "HTTP_LIBRARY"

// fromClient finds the client in a line. The cause follows it.
var fromClient = regexp.MustCompile(`^(.* from (?:client )?)(\S+:\d+)(: .*)?$`)

// Write logs a line. The cause of a client's broken connection is left out, because it may quote the client's data. Anybody can
// cause such a line, so it is not a warning.
func (l libraryLog) Write(line []byte) (int, error) {
	text, level, peer := strings.TrimSuffix(string(line), "\n"), slog.LevelWarn, ""
	if m := fromClient.FindStringSubmatch(text); m != nil {
		text, level, peer = m[1]+m[2], slog.LevelDebug, caller.Peer(m[2])
	}
	l.log.LogAttrs(context.Background(), level, text, slog.String("peer", peer), slog.String("outcome", libraryOutcome))
	return len(line), nil
}
