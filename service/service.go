// Package service is TaskService: it checks what is asked for, finds out from KooDrive how the task stands, asking it
// once however many want to know, and says so in the terms of the contract. It decides what an error of KooDrive means;
// how errors look is service/reason's.
//
//	s := service.New(service.Config{Upstream: client})
//	defer s.Close()
//	taskv1.RegisterTaskServiceServer(server, s)
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// Defaults of Config.
const (
	DefaultPollMin        = time.Second
	DefaultPollMax        = 15 * time.Second
	DefaultPollBackoffMax = time.Minute
	DefaultHeartbeat      = 8 * time.Second
	DefaultStaleAfter     = 5 * time.Minute
	DefaultWatchLifetime  = 30 * time.Minute

	DefaultMaxTasks              = 100_000
	DefaultMaxTasksPerCredential = 1000
	DefaultNewTasksPerPeer       = 20
)

// MaxHeartbeat is the largest Config.Heartbeat: clients take a stream that is silent for 20 s for a broken one.
const MaxHeartbeat = 15 * time.Second

// FirstMessage is how long a watch waits for KooDrive's first answer before a heartbeat opens the stream: an error until
// then is the call's own.
const FirstMessage = 2 * time.Second

const (
	// SendTimeout is how long a send may wait for the client before its watch ends. gRPC takes 64 KiB beyond the client's window
	// before a send waits at all, and shows its handlers nothing of what is unsent: a watch with less to say lasts its lifetime.
	SendTimeout = 30 * time.Second
	// GetTimeout is the longest that GetTask takes, whatever the caller's deadline is.
	GetTimeout = 25 * time.Second
	// Patience is how long GetTask waits for its turn to ask KooDrive. A watch waits as long as it takes.
	Patience = time.Second
	// deadlineMargin is how long before the caller's own deadline a call ends, so that there is time to say why.
	deadlineMargin = 30 * time.Millisecond
	// LifetimeSpread is the share by which a watch's lifetime is shorter or longer at random.
	LifetimeSpread = 0.2
)

// Config is what a Service works with.
type Config struct {
	// Upstream is KooDrive. Required. The Service does not close it.
	Upstream *upstream.Client
	// App signs the requests, for the user whom the caller names. Nil: the caller's own credential is sent on.
	App *upstream.App
	// PollMin, PollMax and PollBackoffMax are how often a watched task is asked for: after PollMin if it has changed,
	// then half as long again each time that it has not, up to PollMax; twice as long after each failure, up to
	// PollBackoffMax. 0 is the default.
	PollMin, PollMax, PollBackoffMax time.Duration
	// Heartbeat is after how long without a message a watch gets one. 0 is the default.
	Heartbeat time.Duration
	// StaleAfter is after how long without an answer of KooDrive's a watch ends. 0 is the default.
	StaleAfter time.Duration
	// WatchLifetime is how long a watch lasts at the most, a fifth less or more at random. 0 is the default.
	WatchLifetime time.Duration
	// MaxTasks is how many tasks may be watched in all, and MaxTasksPerCredential with one credential; how many watch each
	// does not matter. 0 is the default.
	MaxTasks, MaxTasksPerCredential int
	// NewTasksPerPeer is how many tasks, that KooDrive is not being asked for already, one address may ask for in a second;
	// ten seconds' worth may come at once, and watches wait for their turn. 0 is the default.
	NewTasksPerPeer int
	// AppRequestsPerUser is how many requests per second each user of the App may cause, with a burst of ten times that. 0: no
	// limit but that of all.
	AppRequestsPerUser int
	// Log gets a line at the level debug for each request to KooDrive. Nil: there is none.
	Log *slog.Logger
	// Metrics is where what the service counts is registered. Nil: nobody sees it.
	Metrics prometheus.Registerer
}

// Service implements TaskService. It is safe for concurrent use.
type Service struct {
	taskv1.UnimplementedTaskServiceServer

	upstream  *upstream.Client
	app       *upstream.App
	log       *slog.Logger
	metrics   *metrics
	heartbeat time.Duration
	lifetime  time.Duration
	retries   *retries
	limits    *limits
	peers     *peers
	known     *known
	users     *caller.Rates // Of the App; nil without a limit.
	userLimit int
	draining  chan struct{} // Closed by Drain.
	drain     sync.Once
	spread    time.Duration // Set before draining is closed.
	observer  *observe.Observer[upstream.Key, upstream.Task]
	hub       *watch.Hub[upstream.Key, upstream.Task]
}

// New returns a Service. Close it.
func New(config Config) *Service {
	metrics := newMetrics(config.Metrics)
	s := &Service{
		draining: make(chan struct{}),
		limits: newLimits(
			cmp.Or(config.MaxTasksPerCredential, DefaultMaxTasksPerCredential), cmp.Or(config.MaxTasks, DefaultMaxTasks), metrics),
		peers:     newPeers(cmp.Or(config.NewTasksPerPeer, DefaultNewTasksPerPeer), metrics),
		known:     newKnown(),
		retries:   newRetries(),
		upstream:  config.Upstream,
		app:       config.App,
		log:       cmp.Or(config.Log, slog.New(slog.DiscardHandler)),
		metrics:   metrics,
		heartbeat: orDefault(config.Heartbeat, DefaultHeartbeat),
		lifetime:  orDefault(config.WatchLifetime, DefaultWatchLifetime),
		observer:  observe.New[upstream.Key, upstream.Task](observe.Config[upstream.Task]{Final: done}),
	}
	s.hub = watch.NewHub[upstream.Key, upstream.Task](watch.Config[upstream.Task]{
		Min:        orDefault(config.PollMin, DefaultPollMin),
		Max:        orDefault(config.PollMax, DefaultPollMax),
		BackoffMax: orDefault(config.PollBackoffMax, DefaultPollBackoffMax),
		Rank:       rank,
		Same:       same,
		Final:      done,
		Judge:      s.judge,
		Regressed:  s.metrics.regressions.Inc,
		StaleAfter: orDefault(config.StaleAfter, DefaultStaleAfter),
		Stale:      s.stale,
		WaitMax:    upstream.MaxRetryAfter,
	})
	if config.App != nil && config.AppRequestsPerUser > 0 {
		s.users, s.userLimit = caller.NewRates(config.AppRequestsPerUser), config.AppRequestsPerUser
	}
	s.expose(config.Metrics)
	return s
}

func orDefault(d, byDefault time.Duration) time.Duration {
	if d <= 0 {
		return byDefault
	}
	return d
}

// LongestWatch is how long the longest watch lasts.
func (s *Service) LongestWatch() time.Duration {
	return time.Duration(float64(s.lifetime) * (1 + LifetimeSpread))
}

// errDraining is the end of every watch when the server stops.
var errDraining = &reason.Error{Outcome: reason.ServerDraining}

// Drain ends every watch with SERVER_DRAINING, each at a moment of its own within the time given, so that their clients do
// not come back together; until then they go on. Watches that would begin later are refused so at once. Other calls are
// served.
func (s *Service) Drain(within time.Duration) {
	s.drain.Do(func() {
		s.spread = within
		close(s.draining)
	})
}

// Close drains at once, and waits until KooDrive is not asked any more. No call may be in flight.
func (s *Service) Close() {
	s.Drain(0)
	s.hub.Close(errDraining)
	s.observer.Close()
	s.known.close()
	s.retries.close()
}

// judge tells the hub how an error of asking KooDrive is taken.
func (s *Service) judge(err error) watch.Verdict {
	e := s.outcome(err)
	wait := e.RetryAfter
	if e.Outcome == reason.UpstreamRateLimited && wait == 0 {
		wait = upstream.RatePause
	}
	if e.Outcome.Tolerance() != reason.Unlimited {
		s.metrics.strikes.WithLabelValues(e.Outcome.Name).Inc()
	}
	return watch.Verdict{Kind: e.Outcome.Name, Tolerance: e.Outcome.Tolerance(), Wait: wait}
}

// stale is the end of a watch that KooDrive has not answered for too long, and says what it answered last.
func (s *Service) stale(last error) error {
	e := &reason.Error{Outcome: reason.UpstreamStale, Cause: last}
	if last != nil {
		known := s.outcome(last)
		e.UpstreamStatus, e.UpstreamCode = known.UpstreamStatus, known.UpstreamCode
	}
	return e
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// within returns ctx with a limit, and ends it a little before the caller's own deadline.
func within(ctx context.Context, limit time.Duration, cause error) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if left := time.Until(deadline) - deadlineMargin; ok && left < limit {
		return context.WithTimeoutCause(ctx, left, context.DeadlineExceeded)
	}
	return context.WithTimeoutCause(ctx, limit, cause)
}

// admit lets a question be asked, after a wait, or says that its peer asks for too many new tasks. What KooDrive is being
// asked for already is not new, and what it is not asked now costs nothing. The caller must call answered.
func (s *Service) admit(q question, patience time.Duration) (wait time.Duration, answered func(), err error) {
	q.Turn = s.turn(q)
	if s.known.task(q.key) || s.hub.Watches(q.key) || s.upstream.Withheld(q.Query) {
		return 0, func() {}, nil
	}
	wait, answered, err = s.peers.admit(q.peer, patience)
	if err == nil {
		s.known.tasks.Set(q.key, struct{}{})
	}
	return wait, answered, err
}

// question is what to ask KooDrive, and for whom.
type question struct {
	upstream.Query
	key  upstream.Key
	peer string
}

const fieldTaskID = "task_id"

// taskRequest is what the requests of all calls have in common.
type taskRequest interface {
	GetTaskId() string
	GetFailedTaskAsError() bool
}

// query returns what to ask KooDrive on behalf of ctx's caller, or what is wrong with the request.
func (s *Service) query(ctx context.Context, req taskRequest) (question, error) {
	who, ok := caller.FromContext(ctx)
	if !ok {
		return question{}, errors.New("the context has no caller")
	}
	if err := CheckTaskID(req.GetTaskId()); err != nil {
		return question{}, err
	}
	credential, err := s.credential(who)
	if err != nil {
		return question{}, invalidCredential(err)
	}
	q := upstream.Query{Credential: credential, TaskID: req.GetTaskId(), Language: who.Language, Trace: who.Trace}
	q.Caller = s.upstream.CallerKey(credential)
	return question{Query: q, key: s.upstream.Key(q), peer: who.Peer}, nil
}

func (s *Service) credential(who caller.Caller) (upstream.Credential, error) {
	if s.app != nil {
		return s.app.As(who.UserID)
	}
	return upstream.Forward(who.Authorization(), who.UserID, who.Date)
}

// ask asks KooDrive. A caller whom KooDrive has not answered lately shares the turn of its address, so opening many callers
// gains nothing.
func (s *Service) ask(q question) observe.Ask[upstream.Task] {
	return func(ctx context.Context, begun func()) (upstream.Task, error) {
		q := q
		q.Turn = s.turn(q)
		observe.Enter(ctx, observe.Queued)
		if err := s.waitForRate(ctx, q); err != nil {
			return upstream.Task{}, fmt.Errorf("waiting for the user's rate: %w", err)
		}
		sent := false
		measured, done := s.timed(ctx, q.Query, func() { sent = true; begun() })
		task, err := s.upstream.Task(ctx, measured)
		done(task, err)
		if err != nil {
			if sent { // A task that KooDrive was not asked for stays new.
				s.known.learn(q, s.outcome(err))
			}
			return task, err
		}
		s.known.learn(q, nil)
		s.retries.earn(q.Turn)
		return task, nil
	}
}

// userRate limits the requests of an app's user; nil if nothing does.
func (s *Service) userRate(q question) *rate.Limiter {
	if s.users == nil {
		return nil
	}
	return s.users.Of(string(q.Caller[:]))
}

// waitForRate waits until the rate of an app's user allows a request. It tries again and again, and reserves nothing: a
// rate.Limiter does not take back the reservations of calls that give up before others that reserved later, so a user who
// loops would end up with no request at all.
func (s *Service) waitForRate(ctx context.Context, q question) error {
	const minRetry = 100 * time.Millisecond // A user may have a thousand watches.
	limiter := s.userRate(q)
	for limiter != nil && !limiter.Allow() {
		if err := sleep(ctx, max(time.Second/time.Duration(s.userLimit), minRetry)); err != nil {
			return err
		}
	}
	return nil
}

// notBegun is the error of a call whose request has not begun in time.
func (s *Service) notBegun(q question) error {
	if limiter := s.userRate(q); limiter != nil && limiter.Tokens() < 1 {
		return s.metrics.callerLimit(limitPerUser, s.userLimit)
	}
	s.metrics.limited(limitTurn)
	return &reason.Error{Outcome: reason.FacadeOverloaded, Cause: observe.ErrNotBegun}
}

// turn returns whose share of the requests a question takes.
func (s *Service) turn(q question) upstream.Key {
	if s.known.caller(q.Caller) {
		return q.Caller
	}
	return s.upstream.PeerKey(q.peer)
}

// CheckTaskID fails with a [*reason.Error] for a text that cannot be the id of a KooDrive task: see [upstream.CheckTaskID].
func CheckTaskID(id string) error {
	err := upstream.CheckTaskID(id)
	var bad *upstream.TaskIDError
	if !errors.As(err, &bad) {
		return err
	}
	why, description := reason.Malformed, "Must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -."
	switch bad.Problem {
	case upstream.TaskIDMissing:
		why = reason.Missing
	case upstream.TaskIDTooLong:
		why = reason.TooLong
	case upstream.TaskIDReserved:
		why, description = reason.Reserved, "This is the name of another KooDrive route."
	case upstream.TaskIDMalformed:
	}
	return reason.Invalid(reason.TaskIDInvalid, fieldTaskID, why, description)
}

func invalidCredential(err error) error {
	var bad *upstream.CredentialError
	if !errors.As(err, &bad) {
		return err
	}
	if bad.Covers != "" {
		return reason.Invalid(reason.CredentialMalformed, bad.Header, reason.Unsupported,
			"The signature must cover no other headers than host, x-date and x-user-id, but covers "+bad.Covers+".")
	}
	if bad.Missing {
		return reason.Invalid(reason.CredentialMalformed, bad.Header, reason.Missing, "The signature covers this header. Send it.")
	}
	return reason.Invalid(reason.CredentialMalformed, bad.Header, reason.Malformed,
		"Not a credential format that KooDrive accepts.")
}

// failedTask returns the error of a task that has failed, if the request asks for one.
func failedTask(t upstream.Task, req taskRequest) error {
	if t.Status != upstream.StatusFailed || !req.GetFailedTaskAsError() {
		return nil
	}
	return &reason.Error{
		Outcome:  reason.TaskFailed,
		Metadata: map[string]string{"taskId": t.ID, "resultCode": t.ResultCode},
	}
}
