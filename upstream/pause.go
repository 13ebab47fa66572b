package upstream

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// RatePause is how long KooDrive is not asked after it has limited the rate without saying for how long: its gateway counts
// by the minute, and counts the requests that it refuses.
const RatePause = time.Minute

// pauses holds those whom KooDrive has asked to wait: callers, or a whole app, which is what KooDrive counts requests by.
type pauses struct {
	mu      sync.Mutex
	until   map[Key]pause // Guarded by mu, as are the rest.
	sweepAt int           // How many there are before those that are over are looked for.
	demand  demand        // For an app: which of its users asks most.
	limited time.Time     // When KooDrive last limited an app's rate without a Retry-After.
}

// pause is a refusal that holds for a time.
type pause struct {
	refusal StatusError
	until   time.Time
}

// minPauses is how many pauses are kept without a look at them.
const minPauses = 1000

// check returns the refusal that holds for a query, with the rest of its time, or nil. It counts what an app's user asks for.
func (p *pauses) check(app, caller Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range []Key{app, caller} {
		held, ok := p.until[key]
		if !ok {
			continue
		}
		if left := time.Until(held.until); left > 0 {
			refusal := held.refusal
			refusal.RetryAfter = left
			return &refusal
		}
		delete(p.until, key)
	}
	return nil
}

// asks counts a query of an app's user, made or withheld.
func (p *pauses) asks(caller Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.demand.add(caller, time.Now())
}

// learn takes the end of a request that was sent at a time: KooDrive may have asked to wait. app is zero for callers with
// credentials of their own.
//
// An app's quota is one for all of its users. A 429 with Retry-After is meant for the app. Without one, the user who has asked most in
// the last minute pauses alone; if that does not help, because KooDrive limits the rate again within a minute, the app does.
func (p *pauses) learn(app, caller Key, sent time.Time, err error) {
	var refused *StatusError
	if !errors.As(err, &refused) {
		return
	}
	wait, limited := refused.RetryAfter, refused.Status == http.StatusTooManyRequests
	if wait == 0 && !limited {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case app == Key{}, !limited: // KooDrive asks this caller.
	case wait > 0 || now.Sub(p.limited) < RatePause && sent.After(p.limited):
		caller = app
	case sent.After(p.limited):
		caller, p.limited = p.demand.most(now, caller), now
	default: // It was in flight when the rate was limited, which has been answered already.
		return
	}
	if wait == 0 {
		wait = RatePause
	}
	p.holdLocked(caller, pause{*refused, now.Add(wait)})
}

// holdLocked lets a pause begin, unless a longer one is held.
func (p *pauses) holdLocked(key Key, held pause) {
	if p.until == nil {
		p.until, p.sweepAt = map[Key]pause{}, minPauses
	}
	if len(p.until) >= p.sweepAt {
		for other, held := range p.until {
			if time.Until(held.until) <= 0 {
				delete(p.until, other)
			}
		}
		p.sweepAt = max(minPauses, 2*len(p.until))
	}
	if held.until.After(p.until[key].until) { // Of requests that were in flight together, the longest wait counts.
		p.until[key] = held
	}
}

// demand counts how often each caller has asked in the last minute, give or take a bucket. Its zero value is empty.
type demand struct {
	buckets [demandBuckets]map[Key]int
	newest  int64 // The number of the bucket that was added to last, since 1970.
}

const (
	demandBuckets = 6
	demandBucket  = time.Minute / demandBuckets
	// maxDemand is how many callers a bucket counts. Those that come later, in the same ten seconds, have asked little.
	maxDemand = 10_000
)

// turn empties the buckets that have become too old.
func (d *demand) turn(now time.Time) {
	number := now.UnixNano() / int64(demandBucket)
	for i := max(d.newest+1, number-demandBuckets+1); i <= number; i++ {
		d.buckets[i%demandBuckets] = nil
	}
	d.newest = max(d.newest, number)
}

func (d *demand) add(caller Key, now time.Time) {
	d.turn(now)
	bucket := &d.buckets[d.newest%demandBuckets]
	if *bucket == nil {
		*bucket = map[Key]int{}
	}
	if _, counted := (*bucket)[caller]; counted || len(*bucket) < maxDemand {
		(*bucket)[caller]++
	}
}

// most returns the caller that has asked most, or another if none has.
func (d *demand) most(now time.Time, caller Key) Key {
	d.turn(now)
	counts := map[Key]int{}
	for _, bucket := range d.buckets {
		for key, n := range bucket {
			if counts[key] += n; counts[key] > counts[caller] {
				caller = key
			}
		}
	}
	return caller
}
