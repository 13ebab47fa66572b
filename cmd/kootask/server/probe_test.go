package server_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kootask/kootask/cmd/kootask/server"
)

// locked is a part of the service whose lock is held until the channel is closed.
type locked chan struct{}

func (locked) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- prometheus.NewDesc("test_locked", "A part.", nil, nil)
}

func (l locked) Collect(chan<- prometheus.Metric) { <-l }

// A probe waits for the locks of the service.
func TestProbe(t *testing.T) {
	var part locked
	bubble(t, func(c *server.Config) {
		part = make(locked)
		c.LogMetrics = part
	}, func(t *testing.T, s *system) {
		var returned atomic.Bool
		go func() {
			s.probe()
			returned.Store(true)
		}()
		synctest.Wait()
		if returned.Load() {
			t.Error("the probe does not wait for a lock")
		}
		close(part)
		synctest.Wait()
		if !returned.Load() {
			t.Error("the probe does not return")
		}
	})
}

// Draining is called when a stop begins, before the delay.
func TestDrainingIsReported(t *testing.T) {
	var calls atomic.Int32
	bubble(t, func(c *server.Config) {
		c.ShutdownDelay = server.DefaultGrace / 4
		c.Draining = func() { calls.Add(1) }
	}, func(t *testing.T, s *system) {
		synctest.Wait()
		if n := calls.Load(); n != 0 {
			t.Errorf("before the stop: %d calls", n)
		}
		s.stop()
		synctest.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("during the delay: %d calls", n)
		}
	})
	if n := calls.Load(); n != 1 {
		t.Errorf("after the stop: %d calls", n)
	}
}
