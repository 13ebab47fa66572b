package service

import (
	"slices"
	"time"

	"github.com/kootask/kootask/service/reason"
)

// join joins the watches of the tasks that others watch, and asks KooDrive for the rest: first for one of them alone, if
// KooDrive has not answered the caller lately. A rejected credential then costs one request.
func (w *listWatcher) join() {
	var rest []*listed
	for _, t := range w.tasks {
		if t.sub = w.service.hub.Join(t.question.Key(), w.sender); t.sub == nil {
			rest = append(rest, t)
		}
	}
	if len(rest) > 1 && !w.service.quota.Accepts(rest[0].question.Caller()) {
		w.probe = rest[0]
		for _, t := range rest[1:] {
			t.asked = w.probe.begun.Wait + w.service.answerTimeout
		}
		rest = rest[:1]
	}
	for _, t := range rest {
		w.ask(t, 0)
	}
}

// ask begins to watch a task, or begins again.
func (w *listWatcher) ask(t *listed, passed time.Duration) {
	if t.sub != nil {
		t.sub.Close()
	}
	wait := max(0, t.begun.Wait-passed)
	t.asked = 0
	t.sub = w.service.hub.Subscribe(t.question.Key(), w.service.poll(t.question, wait), w.sender)
}

// askDue asks KooDrive for the tasks whose time has come. Once KooDrive has answered the probe, or failed otherwise than by
// rejecting the credential, it is asked for all.
func (w *listWatcher) askDue(passed time.Duration) {
	all := false
	if w.probe != nil {
		state := w.probe.sub.State()
		all = state.Revision > 0 || state.Err != nil && !isRejection(state.Err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	for _, t := range w.tasks {
		if t.asked > 0 && (all || passed >= t.asked) {
			w.ask(t, passed)
			w.probe = nil
		}
	}
}

// rejected looks for rejections of the credential since the last answer, over all tasks: they mean the same for each. It
// returns the end of the watch: at the first one if there was no answer before, and otherwise at the second, at least
// Config.PollMin later. After one rejection it reports doubt, until KooDrive answers any of the tasks, or says something
// else about the rejected one. It also reports first answers to the quota.
func (w *listWatcher) rejected() (end error, doubt bool) {
	for _, t := range w.tasks {
		if t.sub == nil {
			continue
		}
		state := t.sub.State()
		if state.Revision > 0 || state.Err != nil {
			t.begun.Answered()
		}
		if state.Heard.After(w.heard) {
			w.heard = state.Heard
		}
	}
	if !w.first.After(w.heard) {
		w.first, w.last = time.Time{}, time.Time{}
	}
	for _, t := range w.tasks {
		if t.sub == nil {
			continue
		}
		state := t.sub.State()
		if state.Err == nil || !state.Failed.After(w.heard) || !isRejection(state.Err) {
			continue
		}
		end = state.Err
		if w.first.IsZero() || state.Failed.Before(w.first) {
			w.first = state.Failed
		}
		if state.Failed.After(w.last) {
			w.last = state.Failed
		}
	}
	if !slices.ContainsFunc(w.tasks, (*listed).isRejected) {
		w.first, w.last = time.Time{}, time.Time{}
	}
	switch {
	case end != nil && (w.heard.IsZero() || w.last.Sub(w.first) >= w.service.pollMin):
		return reason.Of(end), true
	default:
		return nil, !w.first.IsZero()
	}
}

// isRejected reports whether KooDrive has rejected the credential for the task, and has not said anything else since.
func (t *listed) isRejected() bool {
	if t.sub == nil {
		return false
	}
	state := t.sub.State()
	switch {
	case t.asked > 0, t.rejected && state.Revision == 0 && state.Err == nil: // It is asked again.
		return true
	default:
		return state.Doubted && isRejection(state.Doubt)
	}
}

// isRejection reports whether the error of a poll is a rejection of the credential.
func isRejection(err error) bool {
	switch reason.Of(err).Outcome {
	case reason.UpstreamTokenRejected, reason.UpstreamCredentialRejected, reason.FacadeCredentialRejected:
		return true
	default:
		return false
	}
}
