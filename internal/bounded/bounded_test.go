package bounded_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/internal/bounded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCall(t *testing.T) {
	errOwn := errors.New("its own error")
	for name, row := range map[string]struct {
		takes     time.Duration // Ignores its context.
		obeys     bool
		err, want error
		took      time.Duration
	}{
		"returns":                 {time.Second, false, nil, nil, time.Second},
		"fails":                   {time.Second, false, errOwn, errOwn, time.Second},
		"obeys":                   {time.Hour, true, nil, context.DeadlineExceeded, 10 * time.Second},
		"returns a little later":  {10*time.Second + bounded.Obedience/2, false, nil, nil, 10*time.Second + bounded.Obedience/2},
		"returns much later":      {time.Minute, false, nil, bounded.ErrAbandoned, 10*time.Second + bounded.Obedience},
		"fails much later":        {time.Minute, false, errOwn, bounded.ErrAbandoned, 10*time.Second + bounded.Obedience},
		"returns at the deadline": {10 * time.Second, false, nil, nil, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				got, err := bounded.Call(ctx, func() (int, error) {
					wait := ctx
					if !row.obeys {
						wait = context.WithoutCancel(ctx)
					}
					select {
					case <-time.After(row.takes):
						return 1, row.err
					case <-wait.Done():
						return 1, wait.Err()
					}
				})
				if !errors.Is(err, row.want) || err == nil && got != 1 {
					t.Errorf("%d, %v", got, err)
				}
				if took := time.Since(start); took != row.took {
					t.Errorf("took %v, want %v", took, row.took)
				}
				time.Sleep(time.Hour) // The abandoned call ends, too.
			})
		})
	}
}

// A panic of the called function is turned into an error; the calling goroutine is not affected.
func TestPanicIsTheCallers(t *testing.T) {
	defer func() {
		if p := recover(); p != "oh" {
			t.Errorf("recovered %v", p)
		}
	}()
	_, _ = bounded.Call(t.Context(), func() (int, error) { panic("oh") })
}
