package upstream

import (
	"cmp"
	"errors"
	"net/http"
	"sync"
	"time"
)

// ratePause is how long a caller is left alone after KooDrive limited its rate without saying for how long: KooDrive's
// gateway counts by the minute, and counts what it refuses.
const ratePause = time.Minute

// pauses holds the callers whom KooDrive has asked to wait, all of whose tasks then do.
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

// check returns the refusal that holds for a caller, with the rest of its time, or nil.
func (p *pauses) check(caller Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	held, ok := p.until[caller]
	if !ok {
		return nil
	}
	left := time.Until(held.until)
	if left <= 0 {
		delete(p.until, caller)
		return nil
	}
	refusal := held.refusal
	refusal.RetryAfter = left
	return &refusal
}

// learn takes the end of a request: KooDrive may have asked the caller to wait.
func (p *pauses) learn(caller Key, err error) {
	var refused *StatusError
	if !errors.As(err, &refused) {
		return
	}
	wait := refused.RetryAfter
	if refused.Status == http.StatusTooManyRequests {
		wait = cmp.Or(wait, ratePause)
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
	p.until[caller] = pause{refusal: *refused, until: time.Now().Add(wait)}
}
