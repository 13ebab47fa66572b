package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// SampleFirst is the number of lines of one address and outcome that are written in each period. The rest is only counted.
	SampleFirst = 10
	// SamplePeriod is the time for which lines are counted together.
	SamplePeriod = time.Second

	// MaxSources is the maximum number of pairs of address and outcome in a period. Further pairs are sampled as one.
	MaxSources = 1000
)

// source is the key of sampling. A client can cause many outcomes, and with many addresses also many peers.
type source struct{ peer, outcome string }

// others stands for the sources beyond MaxSources.
var others = source{"others", "others"}

// sample counts the lines of a source in the present period.
type sample struct {
	lines   int
	leftOut int
	level   slog.Level // Of the first line that was left out.
}

// sampler admits the first lines of each source in a period, and reports the number of the others at its end.
type sampler struct {
	to slog.Handler // Gets the reports. It must not block, because mu is held.

	mu      sync.Mutex
	ends    time.Time          // End of the present period. Guarded by mu, as are the fields below.
	sources map[source]*sample // At most MaxSources, and others.
	timer   *time.Timer        // Runs while a report is due.
}

func newSampler(to slog.Handler) *sampler {
	s := &sampler{to: to, sources: map[source]*sample{}}
	s.timer = time.AfterFunc(time.Hour, s.tick)
	s.timer.Stop()
	return s
}

// admits reports whether a line is to be written, and counts it.
func (s *sampler) admits(of source, level slog.Level) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); !now.Before(s.ends) {
		s.reportLocked()
		s.ends = now.Add(SamplePeriod)
	}
	if s.sources[of] == nil && len(s.sources) >= MaxSources {
		of = others
	}
	lines := s.sources[of]
	if lines == nil {
		lines = &sample{}
		s.sources[of] = lines
	}
	if lines.lines++; lines.lines <= SampleFirst {
		return true
	}
	if lines.leftOut++; lines.leftOut == 1 {
		lines.level = level
		s.timer.Reset(time.Until(s.ends))
	}
	return false
}

// tick reports a period that has ended, unless a line has begun the next one meanwhile.
func (s *sampler) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !time.Now().Before(s.ends) {
		s.reportLocked()
	}
}

// report reports the present period up to now.
func (s *sampler) report() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reportLocked()
}

// reportLocked writes a line for each source that has lines left out, and forgets all.
func (s *sampler) reportLocked() {
	s.timer.Stop()
	for of, lines := range s.sources {
		if lines.leftOut == 0 {
			continue
		}
		r := slog.NewRecord(time.Now(), lines.level, "log lines left out", 0)
		r.AddAttrs(slog.String(attrPeer, of.peer), slog.String(attrOutcome, of.outcome), slog.Int("left_out", lines.leftOut))
		_ = s.to.Handle(context.Background(), r) // It writes to the queue, which does not fail.
	}
	clear(s.sources)
}
