package rates

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// However many peers come by, those that have been quiet for long enough are forgotten; those that have not are not.
func TestRatesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rates := New(20)
		most := 0
		for i := range 50_000 {
			rates.Of(strconv.Itoa(i)).Allow()
			if i%10 == 0 {
				for rates.Of("busy").Allow() {
				}
				time.Sleep(time.Millisecond) // Each is as it was after 50 of these.
			}
			most = max(most, len(rates.buckets))
		}
		if most > 2*minSweep {
			t.Errorf("%d peers were remembered", most)
		}
		if rates.Of("busy").AllowN(time.Now(), 2) {
			t.Error("who is busy was forgotten")
		}
	})
}
