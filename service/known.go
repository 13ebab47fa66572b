package service

import (
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

const (
	// KnownCaller is for how long a caller is known after KooDrive has answered it with a task.
	KnownCaller = 10 * time.Minute
	maxKnown    = 100_000
)

// known caches which tasks are already being polled and which callers KooDrive has accepted.
type known struct {
	tasks   *otter.Cache[upstream.Key, struct{}] // That KooDrive is being asked for, or was lately, without refusing the caller.
	callers *otter.Cache[upstream.Key, struct{}] // Whom KooDrive has answered lately.
}

func newKnown() *known {
	cache := func(keep time.Duration) *otter.Cache[upstream.Key, struct{}] {
		return otter.Must(&otter.Options[upstream.Key, struct{}]{
			MaximumSize: maxKnown, ExpiryCalculator: otter.ExpiryWriting[upstream.Key, struct{}](keep),
		})
	}
	return &known{tasks: cache(observe.DefaultKeep), callers: cache(KnownCaller)}
}

// learn takes the end of a request.
func (k *known) learn(q question, failure *reason.Error) {
	switch {
	case failure == nil:
		k.callers.Set(q.Caller, struct{}{})
		k.tasks.Set(q.key, struct{}{})
	case failure.Outcome.Reason == reason.UpstreamTokenRejected.Reason:
		k.tasks.Invalidate(q.key) // The next try is a new one.
	default:
		k.tasks.Set(q.key, struct{}{})
	}
}

func (k *known) task(key upstream.Key) bool {
	_, ok := k.tasks.GetIfPresent(key)
	return ok
}

func (k *known) caller(key upstream.Key) bool {
	_, ok := k.callers.GetIfPresent(key)
	return ok
}

func (k *known) close() {
	k.tasks.StopAllGoroutines()
	k.callers.StopAllGoroutines()
}
