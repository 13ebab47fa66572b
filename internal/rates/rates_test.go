package rates

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// Peers that have been quiet for long enough are forgotten, however many there are. Others are not.
func TestRatesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rates := New(20)
		most := 0
		for i := range 50_000 {
			rates.Of(strconv.Itoa(i)).Allow()
			if i%10 == 0 {
				for rates.Of("busy").Allow() {
				}
				time.Sleep(time.Millisecond) // After 50 of these each rate is full again.
			}
			most = max(most, len(rates.buckets))
		}
		if most > 2*minSweep {
			t.Errorf("%d peers were remembered", most)
		}
		if rates.Of("busy").AllowN(time.Now(), 2) {
			t.Error("a busy peer was forgotten")
		}
	})
}
