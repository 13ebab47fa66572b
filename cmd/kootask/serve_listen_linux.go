package main

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout limits the time for which a client's machine may leave data unacknowledged or its window closed. It is
// longer than service.SendTimeout, so that a slow client still gets its error.
const userTimeout = 45 * time.Second

// limitSilence sets userTimeout for the connections of a listener, which ends them when the client's machine has
// vanished. HTTP/1.1 has no pings: without it, heartbeats would pile up in the socket for a quarter of an hour until
// the kernel gives up. gRPC has pings, but not on a connection that has reached its maximum age.
func limitSilence(_, _ string, socket syscall.RawConn) error {
	var err error
	controlErr := socket.Control(func(fd uintptr) {
		// Accepted connections inherit the option.
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
	return errors.Join(controlErr, err)
}
