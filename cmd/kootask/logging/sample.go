package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// SampleFirst is the number of lines per source that are written in each period. The rest is only counted.
	SampleFirst = 10
	// SamplePeriod is the length of a period.
	SamplePeriod = time.Second

	// MaxSources limits the number of sources in a period. Further sources are sampled together.
	MaxSources = 1000
)

// source identifies lines that are sampled together. A client can cause many outcomes and, with many addresses, have
// many peers.
type source struct{ peer, outcome string }

// others is the source of lines beyond MaxSources.
var others = source{"others", "others"}

// sample counts the lines of a source in the present period.
type sample struct {
	lines   int
	leftOut int
	level   slog.Level // Of the first line left out.
}

// sampler admits the first lines of each source in a period, and reports the number of the others at the period's end.
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

// admits counts a line, and reports whether it is to be written.
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

// tick reports a period that has ended, unless a line has already begun the next one.
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

// reportLocked writes a line for each source with lines left out, and starts counting again.
func (s *sampler) reportLocked() {
	s.timer.Stop()
	for of, lines := range s.sources {
		if lines.leftOut == 0 {
			continue
		}
		r := slog.NewRecord(time.Now(), lines.level, "log lines left out", 0)
		r.AddAttrs(slog.String(attrPeer, of.peer), slog.String(attrOutcome, of.outcome), slog.Int("left_out", lines.leftOut))
		_ = s.to.Handle(context.Background(), r) // The queue does not fail.
	}
	clear(s.sources)
}
