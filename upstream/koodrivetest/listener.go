package koodrivetest

import (
	"context"
	"net"
	"sync"
)

// Listener is a [net.Listener] in memory: an http.Server serves it, and Dial connects to it, without a port. It works in a
// testing/synctest bubble, where a socket would keep the clock from moving. Make one with [Listen].
type Listener struct {
	conns  chan net.Conn
	closed chan struct{} // Closed by Close.
	once   sync.Once
}

// Listen returns a Listener.
func Listen() *Listener { return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})} }

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept and Dial fail. Connections live on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that leads nowhere.
func (l *Listener) Addr() net.Addr { return memoryAddr{} }

// Dial connects, whatever the network and the address are: it is an http.Transport's DialContext.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }
