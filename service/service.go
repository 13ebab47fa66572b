// Package service implements TaskService and Google's Operations, with a file for each call: GetTask asks KooDrive through
// service/ask, and WatchTask, WatchTasks and WaitTask follow tasks through service/watch. All convert the task to the
// contract's types. Package service/quota limits the watches and requests of callers.
//
// The way of a change, from KooDrive's answer to each wire:
//
//  1. upstream decodes the answer, and service/ask hands it to the poller of package watch that asked for it.
//
//  2. The poller's core decides whether the answer is a change, and when the next poll is due.
//
//  3. The poller publishes the new state, which needs no lock to be read, and wakes the streams of all its watchers.
//
//  4. A woken stream waits in the group of its connection, and the group in the queue of the senders.
//
//  5. A sender walks the group, and calls the step of each stream. A step that blocks keeps its goroutine, and another
//     sender walks on behind it.
//
//  6. [watcher].Step takes a step of its call, which reads the state, and sends the task if the client has not seen it.
//
//  7. The message is one for all watchers of the state. It keeps each of its encodings: see package message.
//
//  8. Over gRPC, the codec of package rpcserver takes the frame from the message, and gRPC writes the frames of a
//     connection together.
//
//  9. Over HTTP, rpcserver.Local hands the message to the gateway's eventWriter, which writes its line or event and
//     flushes it.
//
//     s := service.New(service.Config{Upstream: client})
//     defer s.Close()
//     taskv1.RegisterTaskServiceServer(server, s)
package service

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/service/quota"
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
)

// MaxHeartbeat is the largest Config.Heartbeat: clients give up a stream that is silent for 20 s.
const MaxHeartbeat = 15 * time.Second

// deadlineMargin is how long before the caller's deadline a call ends, to leave time to send the reason.
const deadlineMargin = 30 * time.Millisecond

// Config configures a Service.
type Config struct {
	// Upstream is KooDrive. Required. The Service does not close it.
	Upstream *upstream.Client
	// App signs the requests for the user that the caller names. Nil: the caller's own credential is forwarded.
	App *upstream.App
	// PollMin is the interval of polls after a change. Each poll without a change multiplies it by [watch.Growth], up
	// to PollMax; each failure by [watch.Backoff], up to PollBackoffMax. 0: the default.
	PollMin, PollMax, PollBackoffMax time.Duration
	// Heartbeat is the time without a message after which a watch sends a heartbeat. 0: the default.
	Heartbeat time.Duration
	// StaleAfter is the time without a usable answer from KooDrive after which a watch ends. 0: the default.
	StaleAfter time.Duration
	// WatchLifetime is how long a watch lasts, jittered by ±LifetimeSpread. 0: the default.
	WatchLifetime time.Duration
	// Quota limits the watches and requests of callers. Its Metrics are replaced by those of this Config.
	Quota quota.Config
	// ResultTexts are what KooDrive's result codes say, by code and language. Nil: unknown.
	ResultTexts map[string]map[string]string
	// Log gets a debug line for each request to KooDrive, and a warning for each new value of KooDrive that the contract
	// does not list, up to 100 of them. Nil: no log.
	Log *slog.Logger
	// Metrics registers the service's metrics. Nil: they are not registered.
	Metrics prometheus.Registerer
}

// Service implements TaskService. It is safe for concurrent use.
type Service struct {
	taskv1.UnimplementedTaskServiceServer

	quota     *quota.Quota
	ask       *ask.Asker
	hub       *watch.Hub[upstream.Key, upstream.Task]
	senders   *watch.Senders
	metrics   *metrics
	heartbeat time.Duration
	lifetime  time.Duration
	pollMin   time.Duration
	// answerTimeout is how long KooDrive may take for an answer.
	answerTimeout time.Duration
	resultTexts   map[string]map[string]string
	watches       watches
}

// New returns a Service. Close it.
func New(config Config) *Service {
	config.Quota.Metrics = config.Metrics
	if config.App == nil { // Callers with credentials of their own are not users of an app.
		config.Quota.AppRequestsPerUser = 0
	}
	s := &Service{
		quota:         quota.New(config.Quota),
		metrics:       newMetrics(config.Metrics),
		heartbeat:     orDefault(config.Heartbeat, DefaultHeartbeat),
		lifetime:      orDefault(config.WatchLifetime, DefaultWatchLifetime),
		pollMin:       orDefault(config.PollMin, DefaultPollMin),
		answerTimeout: config.Upstream.Timeout(),
		resultTexts:   config.ResultTexts,
		watches:       watches{all: map[*watcher]struct{}{}},
		senders:       watch.NewSenders(SendTimeout),
	}
	log := cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	s.ask = ask.New(ask.Config{
		Upstream: config.Upstream, App: config.App, Quota: s.quota, Final: done,
		Answered: newUnlisted(log, s.metrics.unknown).see,
		PollMax:  orDefault(config.PollMax, DefaultPollMax), Log: log, Metrics: config.Metrics,
	})
	s.hub = watch.NewHub[upstream.Key](watch.Config[upstream.Task]{
		Min:        s.pollMin,
		Max:        orDefault(config.PollMax, DefaultPollMax),
		BackoffMax: orDefault(config.PollBackoffMax, DefaultPollBackoffMax),
		Rank:       rank,
		Same:       same,
		Final:      done,
		Judge:      s.judge,
		Regressed:  s.metrics.regressions.Inc,
		StaleAfter: orDefault(config.StaleAfter, DefaultStaleAfter),
		Stale:      stale,
		WaitMax:    upstream.MaxRetryAfter,
		Keep:       cmp.Or(config.Quota.MaxTasks, quota.DefaultMaxTasks),
	})
	s.expose(config.Metrics)
	return s
}

func orDefault(d, byDefault time.Duration) time.Duration {
	if d <= 0 {
		return byDefault
	}
	return d
}

// LongestWatch returns the longest duration of a watch.
func (s *Service) LongestWatch() time.Duration {
	return time.Duration(float64(s.lifetime) * (1 + LifetimeSpread))
}

// errDraining ends every watch when the server stops.
var errDraining = &reason.Error{Outcome: reason.ServerDraining}

// Drain ends every watch with SERVER_DRAINING, each at a random moment within the given time, so that the clients do
// not all come back at once. New watches are refused at once; other calls are served. Only the first call counts.
func (s *Service) Drain(within time.Duration) { s.watches.drain(within) }

// watches are the watches in flight.
type watches struct {
	mu      sync.Mutex
	all     map[*watcher]struct{} // Guarded by mu, as is drained.
	drained bool
}

// add reports false if watches are refused, because the server stops.
func (a *watches) add(w *watcher) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.drained {
		a.all[w] = struct{}{}
	}
	return !a.drained
}

func (a *watches) remove(w *watcher) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, w)
}

// drain refuses new watches and ends those in flight, each at a random moment within the given time. Only the first call
// counts.
func (a *watches) drain(within time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.drained {
		return
	}
	a.drained = true
	for w := range a.all {
		time.AfterFunc(rand.N(within+1), w.drain)
	}
}

// Close drains at once and waits for the requests to KooDrive in flight. No call may be in flight.
func (s *Service) Close() {
	s.Drain(0)
	s.hub.Close(errDraining)
	s.ask.Close()
	s.quota.Close()
}

// within returns ctx with a time limit, and ends it deadlineMargin before the caller's own deadline.
func within(ctx context.Context, limit time.Duration, cause error) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if left := time.Until(deadline) - deadlineMargin; ok && left < limit {
		return context.WithTimeoutCause(ctx, left, context.DeadlineExceeded)
	}
	return context.WithTimeoutCause(ctx, limit, cause)
}

// failedTask returns the error of a failed task if the request asks for it; otherwise nil.
func (s *Service) failedTask(t upstream.Task, asError bool) error {
	if t.Status != upstream.StatusFailed || !asError {
		return nil
	}
	return s.taskFailed(t.ID, t.ResultCode)
}

// taskFailed returns the error of a failed task.
func (s *Service) taskFailed(id, resultCode string) *reason.Error {
	return &reason.Error{
		Outcome: reason.TaskFailed, Metadata: map[string]string{"taskId": id, "resultCode": resultCode},
		Localized: s.resultTexts[resultCode],
	}
}
