package expiring_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/internal/expiring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type key [32]byte

// An entry exists until it is deleted, or until its lifetime has passed since it was last set.
func TestEntriesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := expiring.New[key, *string](10, time.Minute)
		defer c.Close()
		has := func(k key, want *string) {
			t.Helper()
			if got, ok := c.Get(k); got != want || ok != (want != nil) {
				t.Errorf("the value of key %d is %v, %v", k[0], got, ok)
			}
		}
		a, b, value, newer := key{1}, key{2}, "value", "newer"
		has(a, nil)
		c.Set(a, &value)
		c.Set(b, &value)
		time.Sleep(59 * time.Second)
		has(a, &value)
		c.Set(a, &newer)
		time.Sleep(2 * time.Second)
		has(a, &newer)
		has(b, nil)
		c.Delete(a)
		has(a, nil)
	})
}

// Entries that are dropped from a full cache make room for others.
func TestSizeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := expiring.New[int, int](10, time.Minute)
		defer c.Close()
		for k := range 1000 {
			c.Set(k, k)
		}
		if n := c.Len(); n != 10 {
			t.Errorf("%d entries, where 10 are kept", n)
		}
	})
}
