package quota

import (
	"time"

	"github.com/kootask/kootask/internal/expiring"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

const (
	// KnownCaller is for how long a caller is known after KooDrive has answered it with a task.
	KnownCaller = 10 * time.Minute
	// knownTask is for how long a task is not new after KooDrive was asked for it: as long as its answer is kept.
	knownTask = time.Minute
	maxKnown  = 100_000
)

// known caches which tasks are already being polled and which callers KooDrive has accepted.
type known struct {
	tasks   *expiring.Cache[upstream.Key, struct{}] // That KooDrive is being asked for, or was lately, without refusing the caller.
	callers *expiring.Cache[upstream.Key, struct{}] // Whom KooDrive has answered lately.
}

func newKnown() *known {
	return &known{
		tasks:   expiring.New[upstream.Key, struct{}](maxKnown, knownTask),
		callers: expiring.New[upstream.Key, struct{}](maxKnown, KnownCaller),
	}
}

// learn takes the end of a request.
func (k *known) learn(s Subject, failure *reason.Error) {
	switch {
	case failure == nil:
		k.callers.Set(s.Caller, struct{}{})
		k.tasks.Set(s.Key, struct{}{})
	case failure.Outcome.Reason == reason.UpstreamTokenRejected.Reason:
		k.tasks.Delete(s.Key) // The next try is a new one.
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
