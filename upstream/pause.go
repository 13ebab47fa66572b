package upstream

import (
	"cmp"
	"errors"
	"net/http"
	"sync"
	"time"
)

// RatePause is how long KooDrive is not asked after it limited the rate without saying for how long: its
// gateway counts by the minute, and counts what it refuses.
const RatePause = time.Minute

// pauses holds those whom KooDrive has asked to wait, by what it counts requests by: all of their tasks then do.
type pauses struct {
	mu    sync.Mutex
	until map[Key]pause // Guarded by mu.
}

// pause is a refusal that holds for a time.
type pause struct {
	refusal StatusError
	until   time.Time
}

// maxPauses is how many there are before those that are over are looked for.
const maxPauses = 1000

// check returns the refusal that holds for a quota, with the rest of its time, or nil.
func (p *pauses) check(quota Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	held, ok := p.until[quota]
	if !ok {
		return nil
	}
	left := time.Until(held.until)
	if left <= 0 {
		delete(p.until, quota)
		return nil
	}
	refusal := held.refusal
	refusal.RetryAfter = left
	return &refusal
}

// learn takes the end of a request: KooDrive may have asked to wait.
func (p *pauses) learn(quota Key, err error) {
	var refused *StatusError
	if !errors.As(err, &refused) {
		return
	}
	wait := refused.RetryAfter
	if refused.Status == http.StatusTooManyRequests {
		wait = cmp.Or(wait, RatePause)
	}
	if wait == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until == nil {
		p.until = map[Key]pause{}
	}
	if len(p.until) > maxPauses {
		for other, held := range p.until {
			if time.Until(held.until) <= 0 {
				delete(p.until, other)
			}
		}
	}
	until := time.Now().Add(wait)
	if until.After(p.until[quota].until) { // Of requests that were under way together, the one that is asked to wait longest counts.
		p.until[quota] = pause{refusal: *refused, until: until}
	}
}
