package main

var promiseTruth = promise{
	name: "Truth",
	text: "The states of a watch never go back or repeat, and the final state is never lost. " +
		"A stream ends OK if and only if the final state was sent. " +
		"A failed task is not a failed call.",
	broken: []sabotage{
		{
			name: "a state that a failure followed is kept for the next watcher",
			in:   "service/watch.core.keep",
			from: `s.Err != nil || s.Doubted`,
			to:   `false`,
			red:  "service/watch.TestFailuresAreNotKept",
		},
		{
			name: "a kept state never expires",
			in:   "service/watch.Hub.takeLocked",
			from: `time.Now().Before(known.due.Add(KeepAfterDue))`,
			to:   `true`,
			red:  "service/watch.TestWhatIsKeptExpires",
		},
		{
			name: "a state that goes back is published",
			in:   "service/watch.core.answered",
			from: `c.config.Rank(a.Value) >= c.config.Rank(s.Value)`,
			to:   `true`,
			red:  "service/watch.TestOnlyChangesArePublished",
		},
		{
			name: "an unchanged state is published again",
			in:   "service/watch.core.answered",
			from: `!c.config.Same(a.Value, s.Value)`,
			to:   `true`,
			red:  "service/watch.TestOnlyChangesArePublished",
		},
		{
			name: "the end is sent before the finished task",
			in:   "service.taskWatcher.step",
			from: `case unseen`,
			to:   `case unseen && !state.Ended`,
			red:  "cmd/kootask/server.TestFinishedTaskIsOneMessage",
		},
		{
			name: "a wake during a step is lost",
			in:   "service/watch.group.releaseLocked",
			from: `t.woken && !t.ended && g.addLocked(t)`,
			to:   `false`,
			red:  "service/watch.TestWakesOfAStuckStreamAreKept",
		},
		{
			name: "a state is sent in the encoding of the one before",
			in:   "service/watch.core.answered",
			from: `s.Failures, s.Err, s.Memo = 0, nil, &Memo{}`,
			to:   `s.Failures, s.Err = 0, nil; if s.Memo == nil { s.Memo = &Memo{} }`,
			red:  "service.TestHeartbeatsConfirmTheShownState",
		},
		{
			name: "an expired watch ends before the finished task",
			in:   "service.taskWatcher.step",
			from: `case unseen`,
			to:   `case unseen && stopped == nil`,
			red:  "cmd/kootask/server.TestLateReaderGetsTheLastState",
		},
		{
			name: "a new watcher is not sent the known state",
			in:   "service/watch.Hub.Subscribe",
			from: `p.core.state.Revision > 0 || p.core.state.Err != nil`,
			to:   `p.core.state.Err != nil`,
			red:  "service/watch.TestJoinerGetsTheNewestStateAtOnce",
		},
		{
			name: "a watch ends OK when its lifetime is over",
			in:   "service.taskWatcher.step",
			from: `return 0, true, stopped case state.Err`,
			to:   `return 0, true, nil; case state.Err`,
			red:  "cmd/kootask/server.TestLifetime",
		},
		{
			name: "over HTTP, a stream without a final state ends OK",
			in:   "service/gateway.Gateway.finish",
			from: `!out.finished`,
			to:   `!out.opened`,
			red:  "service/gateway.TestEndsOfStreams",
		},
		{
			name: "every failed task is a failed call",
			in:   "service.failedTask",
			from: `!asError`,
			to:   `false`,
			red:  "cmd/kootask/server.TestFinishedTaskIsOneMessage",
		},
		{
			name: "a task's name may end its text in JSON",
			in:   "internal/jsonline.appendText",
			from: `b == '"'`,
			to:   `false`,
			red:  "internal/jsonline.TestEveryCharacter",
		},
		{
			name: "a quote in a task's name ends its text",
			in:   "internal/jsonline.stringLength",
			from: `case '\\': i++`,
			to:   ``,
			red:  "internal/jsonline.TestMarshal",
		},
	},
}
