package watch_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/kootask/kootask/service/watch"
)

// BenchmarkChange measures a change until the last of many watchers has seen it.
func BenchmarkChange(b *testing.B) {
	const watchers = 10_000
	changes := make(chan int)
	hub := watch.NewHub[string](watch.Config[int]{
		Min: time.Nanosecond, Max: time.Nanosecond, Rank: func(int) int { return 0 },
		Same: func(a, b int) bool { return a == b }, Final: func(int) bool { return false },
	})
	poll := blocking(func(ctx context.Context) (watch.Answer[int], error) {
		select {
		case n := <-changes:
			return watch.Answer[int]{Value: n}, nil
		case <-ctx.Done():
			return watch.Answer[int]{}, ctx.Err()
		}
	})
	var seen sync.WaitGroup
	senders := watch.NewSenders(time.Minute)
	for i := range watchers {
		stream := senders.Join(i % 100)
		s := hub.Subscribe("k", poll, stream)
		stream.Start(stepFunc(func(time.Time) {
			if _, unseen := s.Next(); unseen {
				seen.Done()
			}
		}), time.Time{})
	}
	for n := 1; b.Loop(); n++ {
		seen.Add(watchers)
		changes <- n
		seen.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/watchers, "ns/watcher")
	hub.Close(errDrained)
}
