package kootask

import (
	"context"
	"time"
)

// IsNobody is isNobody.
var IsNobody = isNobody

// Probe probes the address with the client's limit.
func (c *Client) Probe(ctx context.Context) string { return c.probe(ctx) }

// LimitProbe replaces the limit of a probe.
func (c *Client) LimitProbe(limit time.Duration) { c.probeLimit = limit }
