package watch_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/service/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const final = 100

func newHub() *watch.Hub[string, int] {
	return watch.NewHub[string, int](watch.Config[int]{
		Min: time.Second, Max: 15 * time.Second, BackoffMax: time.Minute,
		Rank:  func(n int) int { return n },
		Same:  func(a, b int) bool { return a == b },
		Final: func(n int) bool { return n >= final },
		Judge: func(err error) watch.Verdict {
			if errors.Is(err, errPassing) {
				return watch.Verdict{Tolerance: -1}
			}
			return watch.Verdict{Kind: "strike", Tolerance: 3}
		},
		StaleAfter: 5 * time.Minute,
		Stale:      func(last error) error { return fmt.Errorf("stale: %w", last) },
		Random:     func() float64 { return 0.5 },
		Keep:       1000,
	})
}

var errPassing, errDrained = errors.New("passing"), errors.New("drained")

// answers returns a poll that gives one value after the other, and then the last one forever, and counts its calls.
func answers(count *atomic.Int32, values ...int) watch.Poll[int] {
	return func(_ context.Context, _ bool, done func(watch.Answer[int], error)) {
		n := int(count.Add(1))
		done(watch.Answer[int]{Value: values[min(n, len(values))-1], At: time.Now()}, nil)
	}
}

// blocking returns a poll that calls a function which may block.
func blocking(f func(context.Context) (watch.Answer[int], error)) watch.Poll[int] {
	return func(ctx context.Context, _ bool, done func(watch.Answer[int], error)) {
		go func() { done(f(ctx)) }()
	}
}

// watching is a subscription with a channel of its own.
type watching struct {
	*watch.Subscription[int]
	stream *watch.Stream
	wake   chan struct{}
}

func (w watching) Wake() <-chan struct{} { return w.wake }

func (w watching) Close() {
	watch.Leave(w.Subscription)
	w.stream.Close()
}

func subscribe(hub *watch.Hub[string, int], key string, poll watch.Poll[int]) watching {
	stream, wake := woken(watch.NewSenders(time.Minute))
	return watching{hub.Subscribe(key, poll, stream), stream, wake}
}

// woken returns a stream of a connection of its own, whose steps put a token into the channel.
func woken(senders *watch.Senders) (*watch.Stream, chan struct{}) {
	stream, wake := senders.Join(nil), make(chan struct{}, 1)
	stream.Start(stepFunc(func(time.Time) {
		select {
		case wake <- struct{}{}:
		default:
		}
	}))
	return stream, wake
}

// follow returns all values of a new subscription until it ends.
func follow(s watching) (values []int, err error) {
	defer s.Close()
	for range s.Wake() {
		state, unseen := s.Next()
		if unseen {
			values = append(values, state.Value)
		}
		if state.Ended {
			return values, state.Err
		}
	}
	return values, errors.New("the channel was closed")
}

// stepFunc is a step that does not get stuck.
type stepFunc func(time.Time)

func (f stepFunc) Step(now time.Time) { f(now) }
func (stepFunc) Late()                {}
func (stepFunc) Expires() time.Time   { return time.Time{} }
