// Package service is TaskService, a file for each of its calls: GetTask asks KooDrive through service/ask, WatchTask follows a task
// through service/watch, and both show what they get in the terms of the contract. Who may begin what is service/quota's.
//
//	s := service.New(service.Config{Upstream: client})
//	defer s.Close()
//	taskv1.RegisterTaskServiceServer(server, s)
package service

import (
	"context"
	"log/slog"
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

// MaxHeartbeat is the largest Config.Heartbeat: clients take a stream that is silent for 20 s for a broken one.
const MaxHeartbeat = 15 * time.Second

// deadlineMargin is how long before the caller's own deadline a call ends, so that there is time to say why.
const deadlineMargin = 30 * time.Millisecond

// Config is what a Service works with.
type Config struct {
	// Upstream is KooDrive. Required. The Service does not close it.
	Upstream *upstream.Client
	// App signs the requests, for the user whom the caller names. Nil: the caller's own credential is sent on.
	App *upstream.App
	// PollMin is the interval between polls of a watched task after a change. PollMax limits it while nothing changes, and
	// PollBackoffMax after failures: see [watch.Config]. 0 is the default.
	PollMin, PollMax, PollBackoffMax time.Duration
	// Heartbeat is after how long without a message a watch gets one. 0 is the default.
	Heartbeat time.Duration
	// StaleAfter is after how long without an answer of KooDrive's a watch ends. 0 is the default.
	StaleAfter time.Duration
	// WatchLifetime is how long a watch lasts, ±20 % at random. 0 is the default.
	WatchLifetime time.Duration
	// Quota says who may begin what. Its Metrics are those of this Config.
	Quota quota.Config
	// Log gets a line at the level debug for each request to KooDrive. Nil: there is none.
	Log *slog.Logger
	// Metrics is where what the service counts is registered. Nil: nobody sees it.
	Metrics prometheus.Registerer
}

// Service implements TaskService. It is safe for concurrent use.
type Service struct {
	taskv1.UnimplementedTaskServiceServer

	quota     *quota.Quota
	ask       *ask.Asker
	hub       *watch.Hub[upstream.Key, upstream.Task]
	metrics   *metrics
	heartbeat time.Duration
	lifetime  time.Duration
	draining  chan struct{} // Closed by Drain.
	drain     sync.Once
	spread    time.Duration // Set before draining is closed.
}

// New returns a Service. Close it.
func New(config Config) *Service {
	config.Quota.Metrics = config.Metrics
	s := &Service{
		quota:     quota.New(config.Quota),
		metrics:   newMetrics(config.Metrics),
		heartbeat: orDefault(config.Heartbeat, DefaultHeartbeat),
		lifetime:  orDefault(config.WatchLifetime, DefaultWatchLifetime),
		draining:  make(chan struct{}),
	}
	s.ask = ask.New(ask.Config{
		Upstream: config.Upstream, App: config.App, Quota: s.quota, Final: done, Answered: s.metrics.unlisted,
		Log: config.Log, Metrics: config.Metrics,
	})
	s.hub = watch.NewHub[upstream.Key](watch.Config[upstream.Task]{
		Min:        orDefault(config.PollMin, DefaultPollMin),
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
	s.ask.Close()
	s.quota.Close()
}

// within returns ctx with a limit, and ends it a little before the caller's own deadline.
func within(ctx context.Context, limit time.Duration, cause error) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if left := time.Until(deadline) - deadlineMargin; ok && left < limit {
		return context.WithTimeoutCause(ctx, left, context.DeadlineExceeded)
	}
	return context.WithTimeoutCause(ctx, limit, cause)
}

// taskRequest is what the requests of all calls have in common.
type taskRequest interface {
	GetTaskId() string
	GetFailedTaskAsError() bool
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
