// Package quota says who may begin what: how many tasks are watched, with one credential and in all; how many new tasks each
// address asks for; how many requests each user of an app causes. It knows for which tasks KooDrive is being asked, since those
// cost nothing more, and which callers KooDrive has accepted.
//
// Whether KooDrive can take a request now is upstream's to say, and whether a caller may call at all is auth's.
//
//	q := quota.New(quota.Config{})
//	defer q.Close()
//	…
//	watch, err := q.Watch(subject, withheld)
//	defer watch.Leave()
package quota

import (
	"cmp"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/kootask/kootask/internal/rates"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// Defaults of Config.
const (
	DefaultMaxTasks              = 100_000
	DefaultMaxTasksPerCredential = 1000
	DefaultNewTasksPerPeer       = 20
)

// Config is what is allowed.
type Config struct {
	// MaxTasks is how many tasks may be watched in all, and MaxTasksPerCredential with one credential, whatever the number of
	// watchers of each. 0 is the default.
	MaxTasks, MaxTasksPerCredential int
	// NewTasksPerPeer is how many tasks, for which KooDrive is not being asked already, one address may ask for in a second;
	// ten seconds' worth may come at once, and watches wait for their turn. 0 is the default.
	NewTasksPerPeer int
	// AppRequestsPerUser is how many requests per second each user of the app may cause, with a burst of ten times that. 0: there is
	// no such limit.
	AppRequestsPerUser int
	// Metrics is where what is counted is registered. Nil: nobody sees it.
	Metrics prometheus.Registerer
}

// Subject is what somebody asks for: the poll and the caller by their keys, and the address that it comes from.
type Subject struct {
	Key, Caller upstream.Key
	Peer        string
}

// Quota counts what has begun. It is safe for concurrent use.
type Quota struct {
	limited *prometheus.CounterVec // By the flag that sets the limit.
	watches watches
	peers   *peers
	known   *known
	users   *rates.Rates // Of the app; nil without a limit.
}

// New returns a Quota. Close it.
func New(config Config) *Quota {
	q := &Quota{
		limited: promauto.With(config.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "kootask_limit_reached_total",
			Help: "Calls and watches refused because of a limit, by the flag that sets it. queue: no free slot for a request in time.",
		}, []string{"limit"}),
		watches: watches{
			perCredential: cmp.Or(config.MaxTasksPerCredential, DefaultMaxTasksPerCredential),
			inAll:         cmp.Or(config.MaxTasks, DefaultMaxTasks),
			callers:       map[upstream.Key]map[upstream.Key]int{},
		},
		peers: newPeers(cmp.Or(config.NewTasksPerPeer, DefaultNewTasksPerPeer)),
		known: newKnown(),
	}
	if config.AppRequestsPerUser > 0 {
		q.users = rates.New(config.AppRequestsPerUser)
	}
	for _, limit := range []string{limitQueue, limitPerCredential, limitInAll, limitPerPeer, limitPerUser} {
		q.limited.WithLabelValues(limit) // So that the first of its kind is an increase.
	}
	return q
}

// Close forgets what is known.
func (q *Quota) Close() { q.known.close() }

// Limits, by the flag that sets them, if it is one alone.
const (
	limitQueue         = "queue" // That of --upstream-rps and --upstream-concurrency together.
	limitPerCredential = "max-tasks-per-credential"
	limitInAll         = "max-tasks"
	limitPerPeer       = "new-tasks-per-peer"
	limitPerUser       = "app-rps-per-user"
)

// Watch is a watch that counts. Its methods may be called more than once.
type Watch struct {
	// Wait is how long its first request has to wait, because its address has asked for many new tasks.
	Wait time.Duration
	// Answered says that KooDrive has answered its first request, or that the answer is not wanted any more.
	Answered func()
	// Leave says that it has ended.
	Leave func()
}

// Watch begins a watch, or fails with a [*reason.Error] that names the limit. A task that is new is one of its address's, unless
// withheld reports that KooDrive would not be asked for it now.
func (q *Quota) Watch(s Subject, withheld func() bool) (Watch, error) {
	first, limit := q.watches.enter(s.Caller, s.Key)
	switch limit {
	case "":
	case limitPerCredential:
		return Watch{}, q.reached(limit, q.watches.perCredential)
	default:
		q.limited.WithLabelValues(limit).Inc()
		return Watch{}, &reason.Error{Outcome: reason.FacadeOverloaded}
	}
	w := Watch{Answered: func() {}}
	if first && !q.known.task(s.Key) && !withheld() {
		var err error
		if w.Wait, w.Answered, err = q.begin(s, PeerPatience); err != nil {
			q.watches.leave(s.Caller, s.Key)
			return Watch{}, err
		}
	}
	answered := w.Answered
	w.Leave = sync.OnceFunc(func() {
		answered()
		q.watches.leave(s.Caller, s.Key)
	})
	return w, nil
}

// Ask begins a request that is about to wait in the queue. It fails with a [*reason.Error] if the task is new, and its address has
// asked for as many as it may. The caller must call answered when the request has ended.
func (q *Quota) Ask(s Subject) (answered func(), err error) {
	if q.known.task(s.Key) || q.watches.watched(s.Caller, s.Key) {
		return func() {}, nil
	}
	_, answered, err = q.begin(s, 0)
	return answered, err
}

// begin counts a new task of an address.
func (q *Quota) begin(s Subject, patience time.Duration) (wait time.Duration, answered func(), err error) {
	wait, answered, ok := q.peers.begin(s.Peer, patience)
	if !ok {
		e := q.reached(limitPerPeer, q.peers.rates.PerSecond())
		e.RetryAfter = min(wait, PeerPatience)
		return 0, nil, e
	}
	q.known.tasks.Set(s.Key, struct{}{})
	return wait, answered, nil
}

// Accepts reports whether KooDrive has answered a caller with a task lately.
func (q *Quota) Accepts(caller upstream.Key) bool { return q.known.caller(caller) }

// Learn takes the end of a request that was sent: nil is a task.
func (q *Quota) Learn(s Subject, failure *reason.Error) { q.known.learn(s, failure) }

// WaitForUser waits until the rate of an app's user allows a request, or ctx ends. It looks again and again, and reserves nothing: a
// rate.Limiter does not take back the reservations of calls that give up before others that reserved later, so a user who
// loops would end up with no request at all.
func (q *Quota) WaitForUser(ctx context.Context, caller upstream.Key) error {
	const minRetry = 100 * time.Millisecond // A user may have a thousand watches.
	if q.users == nil {
		return nil
	}
	for limiter := q.users.Of(string(caller[:])); !limiter.Allow(); {
		timer := time.NewTimer(max(time.Second/time.Duration(q.users.PerSecond()), minRetry))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// NotBegun counts a call whose request has not begun in time, and returns its error.
func (q *Quota) NotBegun(caller upstream.Key, cause error) *reason.Error {
	if q.users != nil && q.users.Of(string(caller[:])).Tokens() < 1 {
		return q.reached(limitPerUser, q.users.PerSecond())
	}
	q.limited.WithLabelValues(limitQueue).Inc()
	return &reason.Error{Outcome: reason.FacadeOverloaded, Cause: cause}
}

// reached counts a call that meets a limit of its caller's, and returns its error.
func (q *Quota) reached(flag string, value int) *reason.Error {
	q.limited.WithLabelValues(flag).Inc()
	return &reason.Error{Outcome: reason.CallerLimitReached, Metadata: map[string]string{
		"limitName": flag, "limitValue": strconv.Itoa(value),
	}}
}
