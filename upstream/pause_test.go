package upstream

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Requests that are under way together may be asked to wait for different times: it is the longest that is kept, in whatever order
// they end.
func TestLongestPauseCounts(t *testing.T) {
	for _, waits := range [][]time.Duration{{10 * time.Second, 5 * time.Second}, {5 * time.Second, 10 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			var p pauses
			for _, wait := range waits {
				p.learn(Key{1}, &StatusError{Status: 503, RetryAfter: wait})
			}
			time.Sleep(9 * time.Second)
			var refused *StatusError
			if err := p.check(Key{1}); !errors.As(err, &refused) || refused.RetryAfter != time.Second {
				t.Errorf("asked to wait for %v, it has %v left of a second", waits, err)
			}
			if err := p.check(Key{2}); err != nil {
				t.Errorf("somebody else has to wait: %v", err)
			}
			time.Sleep(time.Second)
			if err := p.check(Key{1}); err != nil {
				t.Errorf("asked to wait for %v, it still has to: %v", waits, err)
			}
		})
	}
}
