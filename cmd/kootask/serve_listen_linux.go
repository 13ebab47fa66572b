package main

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout is how long a client's machine may leave unacknowledged what it was sent, or its window shut. It is more than
// a client may take to read a message, so that one that is only slow is told so.
const userTimeout = 45 * time.Second

// limitSilence makes the connections to a listener end when the client's machine has vanished. Over HTTP/1.1 nobody pings:
// heartbeats would pile up in the socket until the kernel gives up, which takes it a quarter of an hour. gRPC pings, but not
// on a connection that is too old.
func limitSilence(_, _ string, socket syscall.RawConn) error {
	var err error
	controlErr := socket.Control(func(fd uintptr) {
		// What is accepted inherits it.
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
	return errors.Join(controlErr, err)
}
