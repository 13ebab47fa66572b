package main

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// relay keeps the address of a server while the server is replaced: connections wait for the next one. Without the
// relay, the new server would need the same port, which another process may have taken.
type relay struct {
	listener net.Listener
	done     context.CancelFunc
	all      sync.WaitGroup

	mu     sync.Mutex // Guards server.
	server string     // Empty: none; connections wait.
}

func newRelay(ctx context.Context) (*relay, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, done := context.WithCancel(ctx)
	r := &relay{listener: listener, done: done}
	r.all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.all.Go(func() { r.serve(ctx, conn) })
		}
	})
	return r, nil
}

// lead sets the server for new connections; empty: they wait.
func (r *relay) lead(server string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server = server
}

// serve connects a client with the server until either closes the connection.
func (r *relay) serve(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	var server net.Conn
	err := until(ctx, func() (bool, error) {
		r.mu.Lock()
		addr := r.server
		r.mu.Unlock()
		if addr == "" {
			return false, nil
		}
		var err error
		server, err = (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		return err == nil, nil // On an error, the server has just ended.
	})
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	r.all.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	_, _ = io.Copy(client, server)
}

func (r *relay) close() {
	r.done()
	_ = r.listener.Close()
	r.all.Wait()
}
