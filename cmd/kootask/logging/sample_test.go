package logging_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/cmd/kootask/logging"
)

// Of an address's lines with one outcome, the first ten of each second are written, then one that counts the others.
func TestFloodIsSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &file{}
		log, start := open(f), time.Now()
		for range 3000 {
			log.Info("call", "peer", "192.0.2.1", "outcome", "CALLER_CANCELLED")
			time.Sleep(time.Millisecond)
		}
		log.Flush(time.Second)
		all, _ := f.lines()
		want, at := 0, 0
		for _, l := range all {
			if l.Msg == "log lines left out" {
				want, at = want+l.LeftOut, at+1
				if l.Peer != "192.0.2.1" || l.Outcome != "CALLER_CANCELLED" || l.Level != "INFO" {
					t.Errorf("%+v", l)
				}
			}
		}
		if len(all) != 33 || at != 3 || want+30 != 3000 {
			t.Errorf("%d lines after %v, of which %d count %d others", len(all), time.Since(start), at, want)
		}
	})
}

// A flood that is over is counted too, 1 s after it began.
func TestEndOfAFloodIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &file{}
		log := open(f)
		for range 25 {
			log.Warn("call", "peer", "192.0.2.1", "outcome", "TASK_NOT_FOUND")
		}
		time.Sleep(logging.SamplePeriod - 1)
		synctest.Wait()
		before, _ := f.lines()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		all, _ := f.lines()
		if len(before) != 10 || len(all) != 11 || all[10].LeftOut != 15 || all[10].Level != "WARN" {
			t.Errorf("%d lines, then %+v", len(before), all)
		}
	})
}

// Successful calls, audit lines and the operator's lines are all written, and no address or outcome takes another's place.
func TestUnsampledRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &file{}
		log := open(f).With("port", "http") // As the HTTP port's is.
		for range 100 {
			log.Warn("call", "peer", "192.0.2.1", "outcome", "TASK_NOT_FOUND")
		}
		const n = 50
		for range n {
			log.Info("call", "peer", "192.0.2.1", "code", "OK")
			log.Warn("audit", "peer", "192.0.2.1", "outcome", "USER_NOT_ALLOWED")
			log.Info("files", "outcome", "OK")
		}
		log.Warn("call", "peer", "192.0.2.1", "outcome", "TASK_ID_INVALID")
		log.Warn("request refused", "peer", "192.0.2.2", "outcome", "TASK_NOT_FOUND")
		synctest.Wait()
		if all, _ := f.lines(); len(all) != logging.SampleFirst+3*n+2 {
			t.Errorf("%d lines", len(all))
		}
	})
}

// However many addresses there are, the sampler remembers a bounded number of them; the others are sampled together.
func TestSourcesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &file{}
		log := open(f)
		const peers, each, most = 5000, 20, 1000
		for i := range peers {
			for range each {
				log.Warn("call", "peer", fmt.Sprint(i), "outcome", "TASK_NOT_FOUND")
			}
			synctest.Wait() // So that the queue has room.
		}
		time.Sleep(logging.SamplePeriod)
		synctest.Wait()
		all, _ := f.lines()
		lines, reports, leftOut, others := 0, 0, 0, 0
		for _, l := range all {
			if l.LeftOut == 0 {
				lines++
				continue
			}
			reports, leftOut = reports+1, leftOut+l.LeftOut
			if l.Peer == "others" {
				others = l.LeftOut
			}
		}
		if lines != (most+1)*logging.SampleFirst || reports != most+1 || lines+leftOut != peers*each || others != (peers-most)*each-logging.SampleFirst {
			t.Errorf("%d lines, %d reports of %d others, %d of them together", lines, reports, leftOut, others)
		}
	})
}
