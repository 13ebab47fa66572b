package upstream

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// For net/http, a trip is a context with a deadline.
func TestATripIsAContextWithADeadline(t *testing.T) {
	for name, row := range map[string]struct {
		caller time.Duration // When the caller's context ends; 0: it does not.
		leaves bool          // The caller leaves after 1 s.
		stops  bool          // net/http is about to send the request again after 1 s.
		ends   time.Duration
		want   error
	}{
		"at its deadline":          {ends: 10 * time.Second, want: context.DeadlineExceeded},
		"at the caller's deadline": {caller: 5 * time.Second, ends: 5 * time.Second, want: context.DeadlineExceeded},
		"before the caller's":      {caller: time.Minute, ends: 10 * time.Second, want: context.DeadlineExceeded},
		"with its caller":          {leaves: true, ends: time.Second, want: context.Canceled},
		"when it is stopped":       {stops: true, ends: time.Second, want: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				caller, leave := context.WithCancel(t.Context())
				if row.caller > 0 {
					caller, leave = context.WithTimeout(t.Context(), row.caller)
				}
				defer leave()
				trip := (&Client{}).begin(caller, start.Add(10*time.Second))
				want := 10 * time.Second
				if row.caller > 0 {
					want = min(want, row.caller)
				}
				if deadline, ok := trip.Deadline(); !ok || deadline.Sub(start) != want {
					t.Errorf("its deadline is after %v, want %v", deadline.Sub(start), want)
				}
				if trip.Err() != nil {
					t.Error("it has ended at once")
				}
				derived, cancel := context.WithCancelCause(trip)
				defer cancel(nil)
				time.AfterFunc(time.Second, func() {
					if row.leaves {
						leave()
					}
					if row.stops {
						trip.stop(nil)
					}
				})
				<-derived.Done()
				if took := time.Since(start); took != row.ends {
					t.Errorf("it has ended after %v, want %v", took, row.ends)
				}
				if err, cause := trip.Err(), context.Cause(derived); !errors.Is(err, row.want) || !errors.Is(cause, row.want) {
					t.Errorf("it has ended with %v, and what depends on it with %v", err, cause)
				}
				trip.end()
				if !errors.Is(trip.Err(), row.want) {
					t.Errorf("after its end: %v", trip.Err())
				}
			})
		})
	}
}
