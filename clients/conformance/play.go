package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// world is the environment of a client: a server or a stub.
type world interface {
	// addr returns the address of the gRPC port.
	addr() string
	// caFile returns the file of the authority that the client trusts; empty without TLS.
	caFile() string
	// change performs an act of the scenario.
	change(ctx context.Context, a act) error
	// settle fails if the server got wrong requests.
	settle(ctx context.Context, s scenario) error
	close()
}

// play runs a scenario with a client.
func play(ctx context.Context, program string, c client, s scenario) error {
	w, err := open(ctx, program, s)
	if err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	defer w.close()
	do := s.Call
	do.Addr, do.CAFile = w.addr(), w.caFile()
	p, err := c.start(ctx)
	if err != nil {
		return err
	}
	defer p.kill()
	if err := p.send(do); err != nil {
		return err
	}
	lines, err := listen(ctx, w, p, s)
	if err == nil {
		err = s.compare(lines)
	}
	if err == nil {
		err = w.settle(ctx, s)
	}
	if err == nil && s.Until == "" {
		err = p.leave()
	}
	if ctx.Err() != nil {
		err = errors.Join(errTooLong, err)
	}
	p.kill() // Afterwards its output is complete.
	said := show(lines) + "\n" + p.stderr.String()
	for _, secret := range s.secrets() {
		if secret != "" && strings.Contains(said, secret) {
			err = errors.Join(err, fmt.Errorf("the output contains %q", secret))
		}
	}
	if err != nil {
		return fmt.Errorf("%w\noutput: %.5000s", err, said)
	}
	return nil
}

func open(ctx context.Context, program string, s scenario) (world, error) {
	if s.Stub != nil || s.Nobody {
		return newStub(ctx, s)
	}
	return newServers(ctx, program, s)
}

// listen reads the client's output, and performs the acts when they are due.
func listen(ctx context.Context, w world, p *session, s scenario) (lines []line, err error) {
	acts := slices.Clone(s.Meanwhile)
	seen := 0 // Lines since the last act that count for the next one.
	for {
		l, err := p.next()
		if err != nil {
			return lines, err
		}
		lines = append(lines, l)
		if l.last() || l.kind() == s.Until {
			return lines, nil
		}
		if len(acts) == 0 || acts[0].After != l.kind() {
			continue
		}
		if seen++; seen >= acts[0].Times {
			if err := w.change(ctx, acts[0]); err != nil {
				return lines, fmt.Errorf("changing the server: %w", err)
			}
			acts, seen = acts[1:], 0
		}
	}
}
