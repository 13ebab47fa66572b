package service

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/ascii"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/upstream"
)

// KooDrive's fields whose values the contract lists.
const (
	fieldStatus     = "status"
	fieldTaskType   = "task_type"
	fieldResultCode = "result_code"
)

const (
	// maxUnlisted is the number of unlisted values that a process logs, so that KooDrive cannot flood the log.
	maxUnlisted = 100
	// maxCode is the number of characters that are logged of a result code. KooDrive's own have 8.
	maxCode = 32
)

// Logged in place of a result code that is not. They have spaces, as no result code does that is logged.
const (
	notASCII = "(not visible ASCII)"
	anEcho   = "(a part of the request)"
)

// unlisted counts the values that the contract does not list, and logs each of them once, so that it can be reported and
// then listed. It is safe for concurrent use.
type unlisted struct {
	log   *slog.Logger
	count *prometheus.CounterVec // By field.

	mu     sync.Mutex
	logged map[pair]struct{} // At most maxUnlisted. Guarded by mu.
}

// pair is a field and its value, as they are logged.
type pair struct{ field, value string }

func newUnlisted(log *slog.Logger, count *prometheus.CounterVec) *unlisted {
	return &unlisted{log: log, count: count, logged: map[pair]struct{}{}}
}

// see looks at KooDrive's answer to a question. It is called for each answer, and listed values cost it next to nothing.
func (u *unlisted) see(q *ask.Question, t upstream.Task) {
	if toStatus(t.Status) == taskv1.TaskStatus_TASK_STATUS_UNSPECIFIED {
		u.found(pair{fieldStatus, strconv.Itoa(int(t.Status))}, t)
	}
	if t.Type != nil && toType(t.Type) == taskv1.TaskType_TASK_TYPE_UNSPECIFIED {
		u.found(pair{fieldTaskType, strconv.Itoa(int(*t.Type))}, t)
	}
	if t.ResultCode != "" && toResultCode(t.ResultCode) == taskv1.ResultCode_RESULT_CODE_UNSPECIFIED {
		u.found(pair{fieldResultCode, shownCode(q, t.ResultCode)}, t)
	}
}

// shownCode returns what is logged of a result code, which may be any text.
func shownCode(q *ask.Question, code string) string {
	if !ascii.Visible(code) {
		return notASCII
	}
	code = code[:min(len(code), maxCode)]
	if q.Echoes(code) {
		return anEcho
	}
	return code
}

// found counts an unlisted value, and logs it if it is new.
func (u *unlisted) found(p pair, t upstream.Task) {
	u.count.WithLabelValues(p.field).Inc()
	if !u.isNew(p) {
		return
	}
	// What KooDrive's other fields say about the value, and nothing that leads to a user.
	attrs := []slog.Attr{slog.String("field", p.field), slog.String("value", p.value)}
	if t.SentType != nil {
		attrs = append(attrs, slog.Int("task_type", int(*t.SentType)))
	}
	attrs = append(attrs, slog.Int("status", int(t.SentStatus)))
	u.log.LogAttrs(context.Background(), slog.LevelWarn, "unlisted value", attrs...)
}

// isNew reports whether a pair is to be logged, once for each pair.
func (u *unlisted) isNew(p pair) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.logged[p]; known || len(u.logged) == maxUnlisted {
		return false
	}
	p.value = strings.Clone(p.value) // It may be a part of a long text.
	u.logged[p] = struct{}{}
	return true
}
