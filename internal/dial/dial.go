// Package dial connects to a host by name. It differs from net.Dialer in two ways: the time that the resolver takes is not
// part of a connection's limit, so that a name server that does not answer costs time and not the connection; and all
// addresses of the host are tried side by side, not one family after the other and each with a share of the time.
//
// It sets no limit of its own on the whole: the context does.
//
//	transport := &http.Transport{DialContext: dial.Dialer{}.DialContext}
package dial

import (
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	// Stagger is how long an address is tried alone before the next one is tried beside it.
	Stagger = 250 * time.Millisecond
	// Timeout is how long one address is tried.
	Timeout = 5 * time.Second
)

// Dialer connects. The zero Dialer uses the system's resolver and network.
type Dialer struct {
	// Lookup returns the addresses of a host, the preferred ones first. Nil is the system's resolver.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// Connect connects to one address. Nil is the network's own.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// DialContext connects to a host and port. If all addresses fail, the error is that of the first one that failed.
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	lookup := d.Lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	addrs, err := lookup(ctx, "ip", host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var targets []string
	for _, addr := range addrs {
		targets = append(targets, net.JoinHostPort(addr.Unmap().String(), port))
	}
	return d.first(ctx, network, targets)
}

// result is the end of one address.
type result struct {
	conn net.Conn
	err  error
}

// first connects to the first target that accepts. It tries the next one when the last one has failed or Stagger is over,
// gives up the others when one has accepted, and returns when all have ended but those whose Connect ignores its context.
func (d Dialer) first(ctx context.Context, network string, targets []string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(targets)) // Nobody has to wait for what comes late.
	var failure error = &net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: "the host has no address"}}
	next := time.NewTimer(0)
	defer next.Stop()
	for started, ended := 0, 0; ended < len(targets); {
		select {
		case <-next.C:
			if started < len(targets) {
				go d.try(ctx, network, targets[started], results)
				started++
				next.Reset(Stagger)
			}
		case r := <-results:
			ended++
			if r.err == nil {
				go closeRest(results, started-ended)
				return r.conn, nil
			}
			if ended == 1 {
				failure = r.err
			}
			next.Reset(0)
		case <-ctx.Done():
			go closeRest(results, started-ended)
			return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
		}
	}
	return nil, failure
}

// try connects to one target, within its limit.
func (d Dialer) try(ctx context.Context, network, target string, results chan<- result) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	connect := d.Connect
	if connect == nil {
		connect = (&net.Dialer{}).DialContext
	}
	conn, err := connect(ctx, network, target)
	results <- result{conn, err}
}

// closeRest closes the connections of targets that have lost. Nobody waits for it: it ends with the last Connect, whose
// context has ended.
func closeRest(results <-chan result, n int) {
	for range n {
		if r := <-results; r.err == nil {
			_ = r.conn.Close()
		}
	}
}
