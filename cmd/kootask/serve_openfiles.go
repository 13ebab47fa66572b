package main

import (
	"fmt"

	"github.com/kootask/kootask/cmd/kootask/server"
)

// otherFiles is the number of files that are reserved for everything but connections to the public ports and to
// KooDrive: the admin port, the log, reloaded files, the issuer, and connections that are accepted only to be closed.
const otherFiles = 32 + server.AdminConnections

// minConnections is the minimum number of connections to a public port.
const minConnections = 16

// maxConnections returns the maximum number of connections to each of the two public ports, given the limits on open
// files and on requests to KooDrive in flight. It reserves two connections to KooDrive per request: one may be idle or
// closing.
func maxConnections(wanted, files, atOnce int) (int, error) {
	room := (files - otherFiles - 2*atOnce) / 2
	switch {
	case wanted < 0 || wanted > 0 && wanted < minConnections:
		return 0, fmt.Errorf("must be 0, or at least %d", minConnections)
	case max(wanted, minConnections) > room:
		return 0, fmt.Errorf("the limit of %d open files leaves %d connections for each port, but %d are needed. "+
			"Raise the limit (ulimit -n) to %d, or lower --upstream-concurrency",
			files, max(room, 0), max(wanted, minConnections), otherFiles+2*atOnce+2*max(wanted, minConnections))
	case wanted > 0:
		return wanted, nil
	}
	return room, nil
}
