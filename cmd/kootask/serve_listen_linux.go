package main

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout is the maximum time for which a client's machine may leave data unacknowledged or its window closed. It is longer
// than a client may take to read a message, so that a slow client still gets its error.
const userTimeout = 45 * time.Second

// limitSilence ends the connections of a listener when the client's machine has vanished. HTTP/1.1 has no pings: heartbeats
// would pile up in the socket until the kernel gives up, after a quarter of an hour. gRPC has pings, but not on a connection
// that is too old.
func limitSilence(_, _ string, socket syscall.RawConn) error {
	var err error
	controlErr := socket.Control(func(fd uintptr) {
		// Accepted connections inherit it.
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
	return errors.Join(controlErr, err)
}
