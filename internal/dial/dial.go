// Package dial connects to a host by name. It differs from net.Dialer in two ways. Name resolution does not count
// against a connection's limit, so a name server that does not answer costs time, but not the connection. And all
// addresses of the host are tried in parallel, not one family after the other with a share of the time each.
//
// The package sets no limit on the whole: the context must.
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
	// Stagger is how long an address is tried alone before the next one is started.
	Stagger = 250 * time.Millisecond
	// Timeout limits the attempt on one address.
	Timeout = 5 * time.Second
)

// Dialer opens connections. The zero Dialer uses the system's resolver and network.
type Dialer struct {
	// Lookup returns the addresses of a host, preferred ones first. Nil: the system's resolver.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// Connect connects to one address. Nil: net.Dialer's.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// DialContext connects to a host and port. If all addresses fail, it returns the error of the first one that failed.
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

// result is the result of one attempt.
type result struct {
	conn net.Conn
	err  error
}

// first connects to the first target that accepts:
//  1. It starts the next attempt when one has failed or Stagger has passed.
//  2. When an attempt has succeeded, it cancels the others and leaves their results to closeRest.
func (d Dialer) first(ctx context.Context, network string, targets []string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(targets)) // Buffered, so that late attempts do not block.
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

// closeRest closes the connections of n attempts that came too late. It runs in its own goroutine, and ends with the
// last Connect, whose context has ended.
func closeRest(results <-chan result, n int) {
	for range n {
		if r := <-results; r.err == nil {
			_ = r.conn.Close()
		}
	}
}
