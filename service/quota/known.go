package quota

import (
	"time"

	"github.com/kootask/kootask/internal/expiring"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

const (
	// KnownCaller is how long a caller counts as accepted after KooDrive has answered it with a task.
	KnownCaller = 10 * time.Minute
	// knownTask is how long a task does not count as new after a request for it: as long as its answer is kept.
	knownTask = time.Minute
	maxKnown  = 100_000
)

// known caches which tasks are already being polled and which callers KooDrive has accepted.
type known struct {
	// Tasks that are being requested, or were lately. A rejected credential removes the task.
	tasks   *expiring.Cache[upstream.Key, struct{}]
	callers *expiring.Cache[upstream.Key, struct{}] // Callers that KooDrive has answered lately.
}

func newKnown() *known {
	return &known{
		tasks:   expiring.New[upstream.Key, struct{}](maxKnown, knownTask),
		callers: expiring.New[upstream.Key, struct{}](maxKnown, KnownCaller),
	}
}

// learn records the end of a request.
func (k *known) learn(s Subject, failure *reason.Error) {
	switch {
	case failure == nil:
		k.callers.Set(s.Caller, struct{}{})
		k.tasks.Set(s.Key, struct{}{})
	case failure.Outcome.Reason == reason.UpstreamTokenRejected.Reason:
		k.tasks.Delete(s.Key) // The next request counts as new.
	default:
		k.tasks.Set(s.Key, struct{}{})
	}
}

func (k *known) task(key upstream.Key) bool {
	_, ok := k.tasks.Get(key)
	return ok
}

func (k *known) caller(key upstream.Key) bool {
	_, ok := k.callers.Get(key)
	return ok
}

func (k *known) close() {
	k.tasks.Close()
	k.callers.Close()
}
