package koodrivetest

import (
	"net/http"
	"slices"
	"time"
)

// States of a task, as KooDrive numbers them. Success and failed are final.
const (
	StatusNew       = 0
	StatusExecuting = 1
	StatusSuccess   = 2
	StatusFailed    = 3
)

// Task is a simulated task. Nil and empty fields are left out of KooDrive's answers.
type Task struct {
	ID       string `json:"id"` // the id in the route; KooDrive's own have 19 digits
	Name     string `json:"name"`
	Type     *int64 `json:"type"` // 0: hand a user's files over and delete the user; 1: import users
	TenantID string `json:"tenantId"`
	UserID   string `json:"userId"`
	Steps    []Step `json:"steps"` // run through in order; empty: the task stays new
}

// Step is a state of a task. It begins with the first request that it answers, and answers at least one, however late.
// The last step does not end.
type Step struct {
	Status     int64         // one of the Status constants, or a number that KooDrive does not document
	ResultCode string        // why a task failed, like 18000205; empty: left out
	Name       string        // the task's name in this step; empty: Task.Name
	For        time.Duration // its duration, from its first answer; 0: one answer
	Fault      *Fault        // applied to this step's answers; nil: none. It must not be changed afterwards
}

// Example returns the task in KooDrive's documentation, which has failed.
func Example() Task {
	return Task{
		ID:       "1534087020903704704",
		Name:     "lym0412normal",
		Type:     new(int64(0)),
		TenantID: "d5ac574bd2934a69baa4f23c55daa8d4",
		UserID:   "1395497048157130881",
		Steps:    []Step{{Status: StatusFailed, ResultCode: "18000205"}},
	}
}

// SetTask adds a task, or replaces the task with the same id. It starts at its first step.
func (k *KooDrive) SetTask(t Task) {
	t.Steps = slices.Clone(t.Steps)
	if len(t.Steps) == 0 {
		t.Steps = []Step{{Status: StatusNew}}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tasks[t.ID] = &timeline{task: t}
}

// RemoveTask removes a task, which is then unknown. Unknown ids are ignored.
func (k *KooDrive) RemoveTask(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tasks, id)
}

// detail answers a request for one task.
func (k *KooDrive) detail(id string, now time.Time) answer {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.tasks[id]
	if t == nil {
		return k.dialect.refuse(http.StatusBadRequest, "13000309", "Resource not found.", "")
	}
	t.advance(now)
	f := t.step().Fault
	if k.fault != nil {
		f = k.fault
	}
	d := t.detail()
	if f != nil && f.TaskID != "" {
		if other := k.tasks[f.TaskID]; other != nil {
			d = other.detail()
		}
		d.TaskID = f.TaskID
	}
	d.Status, d.TaskType = k.dialect.status(d.Status), k.dialect.taskType(d.TaskType)
	return answer{status: http.StatusOK, body: encode(d), fault: f}
}

// detail is the body of an answer about a task, with the fields in the documented order.
type detail struct {
	TaskID     string `json:"taskId"`
	TaskName   string `json:"taskName,omitempty"`
	TaskType   *int64 `json:"taskType,omitempty"`
	TenantID   string `json:"tenantId,omitempty"`
	UserID     string `json:"userId,omitempty"`
	Status     int64  `json:"status"`
	ResultCode string `json:"resultCode,omitempty"`
	Code       int    `json:"code"`
	Msg        string `json:"msg"`
}

// timeline is the progress of a task through its steps.
type timeline struct {
	task  Task
	at    int       // index of the current step
	since time.Time // when that step was first shown; zero: not yet
}

func (t *timeline) step() Step { return t.task.Steps[t.at] }

// advance moves the task to its step for a request at now.
func (t *timeline) advance(now time.Time) {
	switch {
	case t.since.IsZero():
		t.since = now
	case t.at < len(t.task.Steps)-1 && now.Sub(t.since) >= t.step().For:
		t.at++
		t.since = now
	}
}

func (t *timeline) detail() detail {
	s := t.step()
	d := detail{
		TaskID:     t.task.ID,
		TaskName:   t.task.Name,
		TaskType:   t.task.Type,
		TenantID:   t.task.TenantID,
		UserID:     t.task.UserID,
		Status:     s.Status,
		ResultCode: s.ResultCode,
		Msg:        "成功",
	}
	if s.Name != "" {
		d.TaskName = s.Name
	}
	return d
}
