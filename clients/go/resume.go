package kootask

import (
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

const (
	// Delays between attempts to resume after a broken connection, for which kootask cannot set a delay. Jittered by
	// ±20 %.
	resumeMin, resumeMax, resumeGrowth = time.Second, 15 * time.Second, 1.6
	// firstAttempts is the number of streams that may break before kootask has answered. Until then, the address may be
	// wrong.
	firstAttempts = 5
)

// delay returns the time until the watch resumes, and whether it does.
func (w *watcher) delay(cause *Error) (time.Duration, bool) {
	switch {
	case cause.Retry:
		return retryDelay(cause, w.empty), true
	case cause.Has(taskv1.ErrorReason_CALLER_UNAUTHENTICATED) && w.empty == 0 && w.renewed():
		return resumeAfter(w.empty), true // All watches with the token end at the same moment.
	case cause.Reason != "":
		return 0, false
	case !w.client.met.Load() && (!w.opened || w.empty >= firstAttempts):
		return 0, false
	}
	switch cause.Code {
	// ctx has not ended, so Canceled comes from a proxy.
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.Canceled:
		return resumeAfter(w.empty), true
	default:
		return 0, false
	}
}

// retryDelay returns the time until a retry after the nth consecutive error with Retry. RetryAfter may be 0, which is
// obeyed once.
func retryDelay(cause *Error, n int) time.Duration {
	if n < 2 {
		return cause.RetryAfter
	}
	return max(cause.RetryAfter, resumeAfter(n))
}

// resumeAfter returns the delay after the nth consecutive stream that broke or had no message.
func resumeAfter(n int) time.Duration {
	d := float64(resumeMin)
	for range n {
		d = min(d*resumeGrowth, float64(resumeMax))
	}
	return time.Duration(d * (0.8 + 0.4*rand.Float64()))
}
