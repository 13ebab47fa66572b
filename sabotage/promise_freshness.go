package main

var promiseFreshness = promise{
	name: "Freshness",
	text: "A watch gets a message or an error within 2 s, and then a message at least every 15 s. " +
		"Each says when KooDrive last confirmed the task. " +
		"A watch ends after 5 minutes without a usable answer from KooDrive.",
	broken: []sabotage{
		{
			name: "the page takes a cached state for a new answer",
			in:   "service/gateway/console/card.js",
			from: `if (this.#confirmed > this.#opened - 1000) this.#answers(0);`,
			to:   `this.#answers(0);`,
			red:  "cmd/kootask.TestConsoleClaimsNoHealth",
		},
		{
			name: "no heartbeat opens the stream while KooDrive hangs",
			in:   "service.newWatcher",
			from: `FirstMessage`,
			to:   `s.heartbeat`,
			red:  "cmd/kootask/server.TestHeadersLeaveWithTheFirstMessage",
		},
		{
			name: "a watch gets only one heartbeat",
			in:   "service.watcher.advance",
			from: `w.service.heartbeat`,
			to:   `time.Hour`,
			red:  "cmd/kootask/server.TestHeartbeatsClaimNoMoreThanIsKnown",
		},
		{
			name: "a heartbeat has the current time as observe_time",
			in:   "service.watcher.heartbeat",
			from: `heartbeatOf(w.taskID, state, state.At)`,
			to:   `heartbeatOf(w.taskID, state, time.Now())`,
			red:  "cmd/kootask/server.TestHeartbeatsClaimNoMoreThanIsKnown",
		},
		{
			name: "a heartbeat confirms a state that was not shown",
			in:   "service.watcher.heartbeat",
			from: `w.sub.Seen() != state.Revision`,
			to:   `false`,
			red:  "service.TestHeartbeatsConfirmTheShownState",
		},
		{
			name: "a state held back confirms the previous one",
			in:   "service/watch.core.answered",
			from: `done.regressed = true`,
			to:   `s.At = a.At; done.regressed = true`,
			red:  "cmd/kootask/server.TestHeartbeatsDuringAStepBack",
		},
		{
			name: "a watch without answers never ends",
			in:   "service/watch.poller.begin",
			from: `after > 0`,
			to:   `after < 0`,
			red:  "cmd/kootask/server.TestStaleWatchReportsTheLastFailure",
		},
		{
			name: "a failure counts as an answer",
			in:   "service/watch.core.ended",
			from: `err == nil`,
			to:   `err == nil || now.After(c.heard)`,
			red:  "cmd/kootask/server.TestStaleWatchReportsTheLastFailure",
		},
		{
			name: "a paused watch ends without a poll",
			in:   "service/watch.overtime.grant",
			from: `!now.Before(o.due)`,
			to:   `o.due.IsZero()`,
			red:  "service/watch.TestPausedWatchesPollOnceBeforeTheyEnd",
		},
		{
			name: "a paused watch waits without limit for its last poll",
			in:   "service/watch.overtime.grant",
			from: `now.Add(most)`,
			to:   `now.Add(1000 * most)`,
			red:  "service/watch.TestPausedWatchesPollOnceBeforeTheyEnd",
		},
		{
			name: "a kept answer may be older than maxAge",
			in:   "service/observe.Observer.Kept",
			from: `!r.Asked.Before(time.Now().Add(-*maxAge))`,
			to:   `true`,
			red:  "service/observe.TestKeptEqualsGetFromMemory",
		},
		{
			name: "an unfinished task is answered from memory",
			in:   "service/observe.Observer.Kept",
			from: `o.final(r.Value)`,
			to:   `true`,
			red:  "service/observe.TestKeptEqualsGetFromMemory",
		},
		{
			name: "maxAge is ignored over REST",
			in:   "service/gateway.getRequest",
			from: `err == nil`,
			to:   `err != nil`,
			red:  "service/gateway.TestQueryOfATask",
		},
	},
}
