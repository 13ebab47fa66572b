// Package quota has the limits on callers: watched tasks, per credential and in all; new tasks per address;
// requests per user of an app. It knows the tasks that are being requested, since another watch of those costs nothing
// more, and the callers that KooDrive has accepted.
//
// Package upstream decides whether KooDrive can take a request now, and package auth whether a caller may call at all.
//
//	q := quota.New(quota.Config{})
//	defer q.Close()
//	…
//	watches, err := q.Watch([]quota.Subject{subject}, withheld)
//	defer watches[0].Leave()
package quota

import (
	"cmp"
	"strconv"
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

// Config sets the limits.
type Config struct {
	// MaxTasks limits the watched tasks in all, and MaxTasksPerCredential those with one credential, however many
	// watchers each task has. 0: the default.
	MaxTasks, MaxTasksPerCredential int
	// NewTasksPerPeer limits how many new tasks per second one address may start; a task that is already being
	// requested is not new. Up to [rates.Burst] times as many may come at once; watches beyond that wait. A list of
	// watches with more new tasks than that begins when the whole burst is there, which it then overdraws. 0: the
	// default.
	NewTasksPerPeer int
	// AppRequestsPerUser limits the requests per second for each user of the app, with a burst of [rates.Burst] times
	// as many. 0: no limit.
	AppRequestsPerUser int
	// Metrics registers the Quota's metrics. Nil: they are not registered.
	Metrics prometheus.Registerer
}

// Subject identifies a request to the quota: the keys of the poll and of the caller, and the caller's address.
type Subject struct {
	Key, Caller upstream.Key
	Peer        string
}

// Quota counts the watches and requests of callers. It is safe for concurrent use.
type Quota struct {
	limited *prometheus.CounterVec // By the flag that sets the limit.
	watches watches
	peers   *peers
	known   *known
	users   *rates.Rates // Users of the app; nil without a limit.
}

// New returns a Quota. Close it.
func New(config Config) *Quota {
	q := &Quota{
		limited: promauto.With(config.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "kootask_limit_reached_total",
			Help: "Calls and watches refused because of a limit, by the flag that sets it. " +
				"queue: no free slot for a request in time.",
		}, []string{"limit"}),
		watches: watches{
			perCredential: cmp.Or(config.MaxTasksPerCredential, DefaultMaxTasksPerCredential),
			inAll:         cmp.Or(config.MaxTasks, DefaultMaxTasks),
			callers:       map[upstream.Key]map[upstream.Key]watched{},
		},
		peers: newPeers(cmp.Or(config.NewTasksPerPeer, DefaultNewTasksPerPeer)),
		known: newKnown(),
	}
	if config.AppRequestsPerUser > 0 {
		q.users = rates.New(config.AppRequestsPerUser)
	}
	for _, limit := range []string{limitQueue, limitPerCredential, limitInAll, limitPerPeer, limitPerUser} {
		q.limited.WithLabelValues(limit) // A series at 0 makes its first event visible to rate().
	}
	return q
}

// Close frees the memory of the Quota.
func (q *Quota) Close() { q.known.close() }

// Limits, named by the flag that sets them.
const (
	limitQueue         = "queue" // Set by --upstream-rps and --upstream-concurrency together.
	limitPerCredential = "max-tasks-per-credential"
	limitInAll         = "max-tasks"
	limitPerPeer       = "new-tasks-per-peer"
	limitPerUser       = "app-rps-per-user"
)

// Watch is a watch of one task that counts.
type Watch struct {
	// Wait is how long its first request has to wait, because of its address's limit on new tasks. It is the same for
	// all new tasks of a list, and 0 for the others.
	Wait time.Duration
	// Answered must be called when KooDrive has answered the first request. It may be called more than once.
	Answered func()

	quota       *Quota // Nil once the watch has left.
	caller, key upstream.Key
}

// Leave must be called when the watch has ended, and not while another call of it is in flight. Another call does
// nothing, like a call for the zero value.
func (w *Watch) Leave() {
	if w.quota == nil {
		return
	}
	w.Answered()
	w.quota.watches.leave(w.caller, w.key)
	w.quota = nil
}

// Watch starts the watches of a list and returns them in its order, or starts none and fails with a [*reason.Error] that
// names the limit. The list is not empty, and its subjects are distinct tasks of one caller at one address. Its new
// tasks count against the address's limit together; a task is not new if withheld reports that no request would be sent
// for the subject of that index now. Each watch must leave.
func (q *Quota) Watch(list []Subject, withheld func(i int) bool) ([]Watch, error) {
	switch limit := q.watches.enter(list); limit {
	case "":
	case limitPerCredential:
		return nil, q.reached(limit, q.watches.perCredential)
	default:
		q.limited.WithLabelValues(limit).Inc()
		return nil, &reason.Error{Outcome: reason.FacadeOverloaded}
	}
	begun, added := make([]Watch, len(list)), 0
	for i, s := range list {
		begun[i] = Watch{quota: q, caller: s.Caller, key: s.Key}
		if q.isNew(s) && !withheld(i) {
			added++
		} else {
			begun[i].Answered = func() {}
		}
	}
	wait, err := q.begin(list[0].Peer, added, PeerPatience)
	if err != nil {
		for _, s := range list {
			q.watches.leave(s.Caller, s.Key)
		}
		return nil, err
	}
	for i, s := range list {
		if w := &begun[i]; w.Answered == nil { // It is new.
			w.Wait, w.Answered = wait, q.peers.answered(s.Peer)
			q.known.tasks.Set(s.Key, struct{}{})
		}
		q.watches.pass(s.Caller, s.Key)
	}
	return begun, nil
}

// Call starts a call, or fails with a [*reason.Error]: a new task counts as for [Quota.Watch], but does not wait. The
// caller must call answered when the call has ended.
func (q *Quota) Call(s Subject, withheld func() bool) (answered func(), err error) {
	if !q.isNew(s) || withheld() {
		return func() {}, nil
	}
	if _, err := q.begin(s.Peer, 1, 0); err != nil {
		return nil, err
	}
	q.known.tasks.Set(s.Key, struct{}{})
	return q.peers.answered(s.Peer), nil
}

// isNew reports whether a task is neither watched nor known. If a request would be sent for it, it counts.
func (q *Quota) isNew(s Subject) bool {
	return !q.known.task(s.Key) && !q.watches.passed(s.Caller, s.Key)
}

// begin counts new tasks of an address and returns how long they wait.
func (q *Quota) begin(peer string, tasks int, patience time.Duration) (wait time.Duration, err error) {
	if tasks == 0 {
		return 0, nil
	}
	wait, ok := q.peers.begin(peer, tasks, patience)
	if !ok {
		e := q.reached(limitPerPeer, q.peers.rates.PerSecond())
		e.RetryAfter = max(0, wait-patience) // By then the wait is short enough.
		return 0, e
	}
	return wait, nil
}

// Accepts reports whether KooDrive has answered a caller with a task lately.
func (q *Quota) Accepts(caller upstream.Key) bool { return q.known.caller(caller) }

// Learn records the end of a request that was sent; nil stands for a task.
func (q *Quota) Learn(s Subject, failure *reason.Error) { q.known.learn(s, failure) }

// PaceUser takes a request from the rate limit of an app's user. It returns 0, or after how long to try again. It does
// not reserve: rate.Limiter does not take back the reservation of a call that gives up before others that reserved later,
// so a user who loops would get no request at all.
func (q *Quota) PaceUser(caller upstream.Key) (retry time.Duration) {
	const minRetry = 100 * time.Millisecond // A user may have many watches waiting here.
	if q.users == nil || q.users.Of(string(caller[:])).Allow() {
		return 0
	}
	return max(time.Second/time.Duration(q.users.PerSecond()), minRetry)
}

// NotBegun counts a call whose request did not begin in time, and returns its error.
func (q *Quota) NotBegun(caller upstream.Key, cause error) *reason.Error {
	// The requests that wait take each token soon after it comes, so one or two may be there at this moment.
	if q.users != nil && q.users.Of(string(caller[:])).Tokens() <= float64(q.users.PerSecond()) {
		return q.reached(limitPerUser, q.users.PerSecond())
	}
	q.QueueFull()
	return &reason.Error{Outcome: reason.FacadeOverloaded, Cause: cause}
}

// QueueFull counts a request that left the queue because it waited for too long.
func (q *Quota) QueueFull() { q.limited.WithLabelValues(limitQueue).Inc() }

// reached counts a call that has reached a limit of its caller's, and returns its error.
func (q *Quota) reached(flag string, value int) *reason.Error {
	q.limited.WithLabelValues(flag).Inc()
	return &reason.Error{Outcome: reason.CallerLimitReached, Metadata: map[string]string{
		"limitName": flag, "limitValue": strconv.Itoa(value),
	}}
}
