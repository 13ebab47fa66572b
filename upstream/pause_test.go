package upstream

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Requests in flight together may get different Retry-After values: the longest wins, in whatever order the requests end.
func TestLongestPauseCounts(t *testing.T) {
	for _, waits := range [][]time.Duration{{10 * time.Second, 5 * time.Second}, {5 * time.Second, 10 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			var p pauses
			for _, wait := range waits {
				p.learn(Key{}, Key{1}, time.Now(), &StatusError{Status: 503, RetryAfter: wait})
			}
			time.Sleep(9 * time.Second)
			var refused *StatusError
			if err := p.check(Key{}, Key{1}); !errors.As(err, &refused) || refused.RetryAfter != time.Second {
				t.Errorf("asked to wait for %v, it has %v left of a second", waits, err)
			}
			if err := p.check(Key{}, Key{2}); err != nil {
				t.Errorf("somebody else has to wait: %v", err)
			}
			time.Sleep(time.Second)
			if err := p.check(Key{}, Key{1}); err != nil {
				t.Errorf("asked to wait for %v, it still has to: %v", waits, err)
			}
		})
	}
}

// An app has one quota for all its users: a Retry-After pauses the whole app. Without a Retry-After, the user with the most
// requests pauses first.
func TestPausesOfAnApp(t *testing.T) {
	app, loop, honest := Key{1}, Key{2}, Key{3}
	limited := &StatusError{Status: 429}
	paused := func(p *pauses, user Key) time.Duration {
		var refused *StatusError
		if errors.As(p.check(app, user), &refused) {
			return refused.RetryAfter
		}
		return 0
	}
	ask := func() *pauses {
		p := &pauses{}
		for range 60 {
			for range 10 {
				p.asks(loop)
			}
			p.asks(honest)
			<-time.After(time.Second)
		}
		return p
	}
	synctest.Test(t, func(t *testing.T) {
		p := ask()
		sent := time.Now()
		time.Sleep(time.Second)
		p.learn(app, honest, sent, limited)
		if paused(p, loop) != RatePause || paused(p, honest) != 0 {
			t.Errorf("after one 429, the user with the most requests pauses for %v, another one for %v", paused(p, loop), paused(p, honest))
		}
		p.learn(app, honest, sent, limited) // It was in flight meanwhile.
		if paused(p, honest) != 0 {
			t.Error("two 429 of requests that were in flight together pause the app")
		}
		time.Sleep(30 * time.Second)
		p.learn(app, honest, time.Now().Add(-time.Second), limited)
		if paused(p, loop) != RatePause || paused(p, honest) != RatePause {
			t.Errorf("a second 429 within a minute pauses one for %v, another for %v", paused(p, loop), paused(p, honest))
		}

		p = ask()
		p.learn(app, honest, time.Now(), &StatusError{Status: 429, RetryAfter: 7 * time.Second})
		if paused(p, loop) != 7*time.Second || paused(p, honest) != 7*time.Second {
			t.Error("a Retry-After does not pause the app")
		}

		p = ask()
		p.learn(app, honest, time.Now(), &StatusError{Status: 503, RetryAfter: 7 * time.Second})
		if paused(p, honest) != 7*time.Second || paused(p, loop) != 0 {
			t.Error("a 503 with Retry-After does not pause its user alone")
		}

		p = ask()
		for range 5 { // Withheld requests count too: a user that keeps calling is paused again.
			time.Sleep(RatePause + time.Second)
			for range 20 {
				p.asks(loop)
			}
			p.asks(honest)
			p.learn(app, loop, time.Now(), limited)
			if paused(p, loop) != RatePause || paused(p, honest) != 0 {
				t.Errorf("a minute later one pauses for %v, another for %v", paused(p, loop), paused(p, honest))
			}
		}
	})
}

// The memory for pauses is bounded, however many callers get a Retry-After and however many users an app has.
func TestPausesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pauses{}
		most := 0
		for i := range 100_000 {
			p.asks(numbered(i))
			p.learn(Key{}, numbered(i), time.Now(), &StatusError{Status: 429, RetryAfter: time.Second})
			time.Sleep(5 * time.Millisecond)
			most = max(most, len(p.until))
		}
		if most > 2*minPauses {
			t.Errorf("%d pauses are held, of which 200 last", most)
		}
		for i := range 20 * maxDemand {
			p.asks(numbered(-i))
		}
		for i, bucket := range p.demand.buckets {
			if len(bucket) > maxDemand {
				t.Errorf("bucket %d has %d users", i, len(bucket))
			}
		}
		p.demand.most(time.Now().Add(time.Hour), Key{})
		for i, bucket := range p.demand.buckets {
			if len(bucket) > 0 {
				t.Errorf("bucket %d has %d users an hour later", i, len(bucket))
			}
		}
	})
}
