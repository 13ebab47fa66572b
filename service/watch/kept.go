package watch

import "time"

// KeepAfterDue is how long after the time of its next poll a key without watchers is kept: clients that call again and again
// need a moment between two calls.
const KeepAfterDue = time.Second

// kept is the knowledge of a key without watchers.
type kept[V any] struct {
	state    *State[V]
	interval time.Duration
	due      time.Time // When the next poll would have begun.
}

// keep returns what a later watcher may go on with, and false if there is nothing: no value is known, or the last poll has
// failed, or the watch has ended. A poll in flight is cancelled, and counts as due since it was to begin.
func (c *core[V]) keep() (kept[V], bool) {
	s := c.state
	if s.Revision == 0 || s.Err != nil || s.Doubted || s.Ended {
		return kept[V]{}, false
	}
	return kept[V]{state: s, interval: c.interval, due: c.overtime.due}, true
}

// resume returns a core that goes on where another one has stopped.
func resume[V any](config *Config[V], from kept[V]) core[V] {
	return core[V]{
		config: config, state: from.state, interval: from.interval, heard: from.state.Heard, overtime: overtime{due: from.due},
	}
}

// keepLocked keeps the knowledge of a key whose last watcher leaves.
func (h *Hub[K, V]) keepLocked(key K, c *core[V]) {
	if h.kept == nil || h.closed != nil {
		return
	}
	if known, ok := c.keep(); ok {
		h.kept.Set(key, known)
	}
}

// takeLocked takes the knowledge of a key, unless it is too old.
func (h *Hub[K, V]) takeLocked(key K) (known kept[V], ok bool) {
	if h.kept == nil {
		return known, false
	}
	if known, ok = h.kept.Get(key); ok {
		h.kept.Delete(key)
	}
	return known, ok && time.Now().Before(known.due.Add(KeepAfterDue))
}
