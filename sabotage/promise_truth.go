package main

var promiseTruth = promise{
	name: "Truth",
	text: "The states of a watch never go back or repeat, and the final state is never lost. " +
		"A stream ends OK if and only if the final state was sent. " +
		"A failed task is not a failed call.",
	broken: []sabotage{
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
			in:   "service.watcher.follow",
			from: `case unseen`,
			to:   `case unseen && !state.Ended`,
			red:  "cmd/kootask/server.TestFinishedTaskIsOneMessage",
		},
		{
			name: "an expired watch ends before the finished task",
			in:   "service.watcher.follow",
			from: `case unseen`,
			to:   `case unseen && ctx.Err() == nil`,
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
			in:   "service.watcher.follow",
			from: `context.Cause(ctx)`,
			to:   `nil`,
			red:  "cmd/kootask/server.TestLifetime",
		},
		{
			name: "over HTTP, a stream without a final state ends OK",
			in:   "service/gateway.Gateway.watch",
			from: `errors.Is(err, io.EOF) && finished`,
			to:   `errors.Is(err, io.EOF) && (finished || out.opened)`,
			red:  "service/gateway.TestEndsOfStreams",
		},
		{
			name: "every failed task is a failed call",
			in:   "service.failedTask",
			from: `!req.GetFailedTaskAsError()`,
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
