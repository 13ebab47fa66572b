package koodrivetest

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Listener is a [net.Listener] in memory: an http.Server serves it, and Dial connects to it without a port. It works in
// a testing/synctest bubble, where a socket would stop the clock. Make one with [Listen].
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

// Close makes Accept and Dial fail. Open connections stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns a placeholder address.
func (l *Listener) Addr() net.Addr { return memoryAddr{} }

// Dial connects to the listener, ignoring network and address: use it as http.Transport.DialContext. Like a TCP
// connection, the connection has CloseWrite.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// conn is one end of a connection whose directions can be closed separately, unlike net.Pipe's.
type conn struct{ in, out net.Conn }

func pipe() (client, server conn) {
	clientOut, serverIn := net.Pipe()
	serverOut, clientIn := net.Pipe()
	return conn{clientIn, clientOut}, conn{serverIn, serverOut}
}

func (c conn) Read(b []byte) (int, error)         { return c.in.Read(b) }
func (c conn) Write(b []byte) (int, error)        { return c.out.Write(b) }
func (c conn) CloseWrite() error                  { return c.out.Close() }
func (c conn) Close() error                       { return errors.Join(c.out.Close(), c.in.Close()) }
func (c conn) LocalAddr() net.Addr                { return memoryAddr{} }
func (c conn) RemoteAddr() net.Addr               { return memoryAddr{} }
func (c conn) SetReadDeadline(t time.Time) error  { return c.in.SetReadDeadline(t) }
func (c conn) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }
func (c conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }
