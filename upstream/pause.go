package upstream

import (
	"errors"
	"sync"
	"time"
)

// RatePause is the pause after KooDrive has limited the rate without Retry-After: its gateway counts per minute,
// refused requests included.
const RatePause = time.Minute

// pauses holds the callers and apps that KooDrive has asked to wait. KooDrive counts the requests of an app's users
// together.
type pauses struct {
	mu      sync.Mutex
	until   map[Key]pause // Guarded by mu, as are the fields below.
	sweepAt int           // The number of pauses at which ended ones are removed.
	demand  demand        // Requests by an app's users.
	limited time.Time     // When KooDrive last limited an app's rate without Retry-After.
}

// pause is a refusal that applies until a time.
type pause struct {
	refusal StatusError
	until   time.Time
}

// minPauses is the number of pauses up to which ended ones are not removed.
const minPauses = 1000

// check returns the refusal that applies to a query, with the remaining time; nil without one.
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

// asks counts a query of an app's user, whether it is sent or withheld.
func (p *pauses) asks(caller Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.demand.add(caller, time.Now())
}

// learn records the end of a request: KooDrive may have asked to wait. app is zero for callers with credentials of
// their own.
//
// All users of an app share its quota, so a 429 with Retry-After pauses the app. Without one, only the user with the
// most requests in the last minute is paused. If KooDrive limits the rate again within a minute, the app is.
func (p *pauses) learn(app, caller Key, sent time.Time, err error) {
	if err == nil {
		return
	}
	var refused *StatusError
	if !errors.As(err, &refused) {
		return
	}
	wait, limited := refused.RetryAfter, refused.limited()
	if wait == 0 && !limited {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case app == Key{}, !limited: // The request was limited for this caller alone.
	case wait > 0 || now.Sub(p.limited) < RatePause && sent.After(p.limited):
		caller = app
	case sent.After(p.limited):
		caller, p.limited = p.demand.most(now, caller), now
	default: // It was in flight when the rate was limited; that limit has been handled.
		return
	}
	if wait == 0 {
		wait = RatePause
	}
	p.holdLocked(caller, pause{*refused, now.Add(wait)})
}

// holdLocked begins a pause, unless a longer one applies.
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
	if held.until.After(p.until[key].until) { // For requests that were in flight together, the longest wait applies.
		p.until[key] = held
	}
}

// demand counts each caller's requests in the last minute, to within demandBucket. Its zero value is empty.
type demand struct {
	buckets [demandBuckets]map[Key]int
	newest  int64 // The number of the newest bucket, counted since 1970.
}

const (
	demandBuckets = 6
	demandBucket  = time.Minute / demandBuckets
	// maxDemand is the number of callers that a bucket counts. Callers that come later within demandBucket have made
	// few requests.
	maxDemand = 10_000
)

// advance empties the buckets that are too old.
func (d *demand) advance(now time.Time) {
	number := now.UnixNano() / int64(demandBucket)
	for i := max(d.newest+1, number-demandBuckets+1); i <= number; i++ {
		d.buckets[i%demandBuckets] = nil
	}
	d.newest = max(d.newest, number)
}

func (d *demand) add(caller Key, now time.Time) {
	d.advance(now)
	bucket := &d.buckets[d.newest%demandBuckets]
	if *bucket == nil {
		*bucket = map[Key]int{}
	}
	if _, counted := (*bucket)[caller]; counted || len(*bucket) < maxDemand {
		(*bucket)[caller]++
	}
}

// most returns the caller with the most requests; the given one without any.
func (d *demand) most(now time.Time, caller Key) Key {
	d.advance(now)
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
