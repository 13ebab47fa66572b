package ask

import (
	"encoding/binary"
	"testing"

	"github.com/kootask/kootask/upstream"
)

func retrier(n int) (k upstream.Key) {
	binary.BigEndian.PutUint32(k[:], uint32(n))
	return k
}

// Each caller has retries of its own, and all together have a cap.
func TestRetryBudgets(t *testing.T) {
	r := newRetries()
	defer r.close()
	take := func(caller int) (taken int) {
		for r.take(retrier(caller)) {
			taken++
		}
		return taken
	}
	if first, second := take(1), take(2); first != retryMax || second != retryMax {
		t.Errorf("two callers have %d and %d retries, want %d each", first, second, retryMax)
	}
	for range RetrySuccesses {
		r.earn(retrier(1))
	}
	if first, second := take(1), take(2); first != 1 || second != 0 {
		t.Errorf("ten successes of one caller earn it %d retries, and another one %d", first, second)
	}
	taken := 0
	for caller := range 1000 {
		taken += take(10 + caller)
	}
	if want := retryMaxAll - 2*retryMax; taken != want {
		t.Errorf("a thousand callers have %d retries left, want %d", taken, want)
	}
}

// However many callers retry, the budgets of so many are remembered.
func TestRetryBudgetsAreBounded(t *testing.T) {
	r := newRetries()
	defer r.close()
	for caller := range 3 * retryCallers {
		r.all = 0
		if !r.take(retrier(caller)) {
			t.Fatalf("caller %d has no retry", caller)
		}
	}
	if n := r.spent.Len(); n > retryCallers {
		t.Errorf("the budgets of %d callers are remembered", n)
	}
}
