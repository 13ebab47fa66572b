package observe_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/service/observe"
)

// staged is queued for 2 s, gets no answer for 3 s, pauses for 1 s, is queued for 5 s more, and is answered after 4 s.
func staged(ctx context.Context, begun func()) (int, error) {
	for _, step := range []struct {
		stage   observe.Stage
		seconds int
	}{{observe.Queued, 2}, {observe.Sent, 3}, {observe.Idle, 1}, {observe.Queued, 5}, {observe.Sent, 4}} {
		observe.Enter(ctx, step.stage)
		if step.stage == observe.Sent {
			begun()
		}
		select {
		case <-time.After(time.Duration(step.seconds) * time.Second):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return 1, nil
}

// A call reports its own wait, also when another call started the request.
func TestSpent(t *testing.T) {
	zero := time.Duration(0)
	for name, row := range map[string]struct {
		after, leaves int // Seconds since the first call; 0: it stays.
		wish          observe.Wish
		queued, sent  int
	}{
		"the first one":                    {0, 0, observe.Wish{}, 7, 7},
		"joins in the queue":               {1, 0, observe.Wish{}, 6, 7},
		"joins a request":                  {4, 0, observe.Wish{}, 5, 5},
		"joins a pause":                    {5, 0, observe.Wish{}, 5, 4},
		"joins the second request":         {12, 0, observe.Wish{}, 0, 3},
		"joins a request and leaves":       {3, 8, observe.Wish{}, 2, 2},
		"has no patience":                  {0, 0, observe.Wish{Patience: time.Second}, 1, 0},
		"waits for one and makes another":  {14, 0, observe.Wish{MaxAge: &zero}, 7, 8},
		"waits for one, makes one, leaves": {14, 18, observe.Wish{MaxAge: &zero}, 2, 2},
		"comes later":                      {20, 0, observe.Wish{}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := observe.New[string, int](observe.Config[int]{Final: func(int) bool { return true }})
				defer o.Close()
				var first sync.WaitGroup
				if row.after > 0 {
					first.Go(func() { _, _ = o.Get(t.Context(), "key", observe.Wish{}, blocking(staged)) })
				}
				time.Sleep(time.Duration(row.after) * time.Second)
				spending := &observe.Spending{Context: t.Context()}
				ctx, spent := context.Context(spending), &spending.Spent
				if row.leaves > 0 {
					var leave context.CancelFunc
					ctx, leave = context.WithTimeout(ctx, time.Duration(row.leaves-row.after)*time.Second)
					defer leave()
				}
				_, _ = o.Get(ctx, "key", row.wish, blocking(staged))
				want := observe.Spent{Queued: time.Duration(row.queued) * time.Second, Sent: time.Duration(row.sent) * time.Second}
				if *spent != want {
					t.Errorf("it has spent %+v, want %+v", *spent, want)
				}
				first.Wait()
			})
		})
	}
}
