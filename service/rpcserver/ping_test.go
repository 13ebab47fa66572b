package rpcserver_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/rpcserver"
)

// Clients may ping every 20 s, with and without a call in flight. A client that pings more often is disconnected, and the error says why.
func TestPings(t *testing.T) {
	const long = 10 * time.Minute
	wait := func(ctx context.Context) error {
		select {
		case <-time.After(long):
			return &reason.Error{Outcome: reason.TaskNotFound}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for every, stays := range map[time.Duration]bool{30 * time.Second: true, rpcserver.ClientPing: true, rpcserver.ClientPing / 2: false} {
		pings := grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: every, PermitWithoutStream: true})
		bubble(t, wait, func(ctx context.Context, t *testing.T, tasks client) {
			err := call(ctx, t, tasks, "WatchTask")
			if stays && status.Code(err) != codes.NotFound ||
				!stays && (status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "too_many_pings")) {
				t.Errorf("every %v, with a call: %v", every, err)
			}
		}, pings)
		bubble(t, wait, func(ctx context.Context, t *testing.T, tasks client) {
			tasks.conn.Connect()
			for state := tasks.conn.GetState(); state != connectivity.Ready; state = tasks.conn.GetState() {
				tasks.conn.WaitForStateChange(ctx, state)
			}
			ctx, cancel := context.WithTimeout(ctx, long)
			defer cancel()
			if left := tasks.conn.WaitForStateChange(ctx, connectivity.Ready); left == stays {
				t.Errorf("every %v, without a call: the connection ended: %v", every, left)
			}
		}, pings)
	}
}
