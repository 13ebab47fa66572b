package server

import (
	"context"
	"log/slog"
	"regexp"
	"strings"

	"github.com/kootask/kootask/service/caller"
)

// libraryLog receives net/http's own log lines, one at a time. Nearly all of them are about connections that clients
// break, so they get the attributes that sampling needs: a peer, empty if unknown, and an outcome.
type libraryLog struct{ log *slog.Logger }

// libraryOutcome is the outcome of all these lines. It does not occur in metrics.
const libraryOutcome = "HTTP_LIBRARY"

// fromClient matches a line about a client. The cause follows the address.
var fromClient = regexp.MustCompile(`^(.* from (?:client )?)(\S+:\d+)(: .*)?$`)

// Write logs a line. It leaves out the cause of a client's broken connection, which may quote the client's data.
// Anybody can cause such lines, so they are logged as Debug.
func (l libraryLog) Write(line []byte) (int, error) {
	text, level, peer := strings.TrimSuffix(string(line), "\n"), slog.LevelWarn, ""
	if m := fromClient.FindStringSubmatch(text); m != nil {
		text, level, peer = m[1]+m[2], slog.LevelDebug, caller.Peer(m[2])
	}
	l.log.LogAttrs(context.Background(), level, text, slog.String("peer", peer), slog.String("outcome", libraryOutcome))
	return len(line), nil
}
