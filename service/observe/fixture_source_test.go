package observe_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/service/observe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source answers an Observer: an answer takes 1 s and is the number of the request.
type source struct {
	mu               sync.Mutex
	asked            int
	inFlight, peak   int
	cancelled        int
	err              error
	panics, finished bool
	queue            time.Duration // Before the request begins.
}

const final = 1000

func (s *source) ask(ctx context.Context, begun func(), done func(int, error)) {
	if s.panics {
		panic("secret")
	}
	blocking(s.answer)(ctx, begun, done)
}

// blocking turns a function that waits for its answer into an Ask.
func blocking(f func(ctx context.Context, begun func()) (int, error)) observe.Ask[int] {
	return func(ctx context.Context, begun func(), done func(int, error)) {
		go func() { done(f(ctx, begun)) }()
	}
}

func (s *source) answer(ctx context.Context, begun func()) (int, error) {
	select {
	case <-time.After(s.queue):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	begun()
	s.mu.Lock()
	s.asked++
	n := s.asked
	s.inFlight++
	s.peak = max(s.peak, s.inFlight)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inFlight--
		s.mu.Unlock()
	}()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		s.mu.Lock()
		s.cancelled++
		s.mu.Unlock()
		return 0, ctx.Err()
	}
	if s.finished {
		n += final
	}
	return n, s.err
}

// bubble runs test with an Observer in virtual time.
func bubble(t *testing.T, test func(t *testing.T, o *observe.Observer[string, int], s *source)) {
	synctest.Test(t, func(t *testing.T) {
		o := observe.New[string, int](observe.Config[int]{Final: func(n int) bool { return n >= final }})
		defer o.Close()
		test(t, o, &source{})
	})
}

func age(d time.Duration) *time.Duration { return &d }
