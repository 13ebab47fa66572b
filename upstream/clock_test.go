package upstream_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestClockIsCorrected(t *testing.T) {
	// koodriveAhead is how far our clock is behind KooDrive's; attempts is the number of requests of the first call.
	for name, row := range map[string]struct {
		koodriveAhead time.Duration
		attempts      int
		refused       bool
	}{
		"right":           {0, 1, false},
		"1 s fast":        {-time.Second, 1, false},
		"10 s fast":       {-10 * time.Second, 2, false},
		"13 min fast":     {-13 * time.Minute, 2, false},
		"20 min fast":     {-20 * time.Minute, 2, true}, // More than is corrected.
		"1 s slow":        {time.Second, 1, false},
		"14 min slow":     {14 * time.Minute, 1, false},
		"20 min slow":     {20 * time.Minute, 2, false},
		"half a day slow": {12 * time.Hour, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
				k.SetSkew(row.koodriveAhead)
				_, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{})
				var refused *upstream.StatusError
				if isRefused := errors.As(err, &refused); isRefused != row.refused || !row.refused && err != nil {
					t.Errorf("got %v", err)
				}
				if k.Count() != row.attempts {
					t.Errorf("%d attempts, want %d", k.Count(), row.attempts)
				}
				if row.refused {
					return
				}
				before := k.Count()
				if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); err != nil || k.Count() != before+1 {
					t.Errorf("once the skew is known: %v after %d attempts", err, k.Count()-before)
				}
				k.SetSkew(0) // The clock is corrected.
				before = k.Count()
				if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); err != nil || k.Count() > before+2 {
					t.Errorf("once the clock is correct: %v after %d attempts", err, k.Count()-before)
				}
			})
		})
	}
}

func TestWrongSecretIsNotTriedTwice(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		k.AddApp("app-one", "another")
		var refused *upstream.StatusError
		if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
			t.Errorf("got %v", err)
		}
		if k.Count() != 1 {
			t.Errorf("%d attempts", k.Count())
		}
	})
}

func TestSlowAnswersDoNotSpoilTheClock(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		for range 3 {
			k.SetFault(&koodrivetest.Fault{Latency: 9 * time.Second})
			if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); err != nil {
				t.Fatal(err)
			}
			k.SetFault(nil)
			before := k.Count()
			if _, err := c.Task(t.Context(), signedQuery(t, c), upstream.Call{}); err != nil || k.Count() != before+1 {
				t.Errorf("after a slow answer: %v after %d attempts", err, k.Count()-before)
			}
		}
	})
}
