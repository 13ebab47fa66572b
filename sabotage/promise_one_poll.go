package main

var promiseOnePoll = promise{
	name: "One poll",
	text: "For one credential and one task, at most one request to KooDrive is in flight, however many clients call and watch. " +
		"While KooDrive answers, clients that repeat GetOperation cost at most one request per `--poll-min` together.",
	broken: []sabotage{
		{
			name: "every GetOperation is a request",
			in:   "service.operations.GetOperation",
			from: `ask.Wish{Recent: o.service.pollMin}`,
			to:   `ask.Wish{}`,
			red:  "cmd/kootask/server.TestOperationLoopsShareTheirRequests",
		},
		{
			name: "every watcher starts its own poller",
			in:   "service/watch.Hub.Subscribe",
			from: `p == nil || p.retired`,
			to:   `true`,
			red:  "service/watch.TestWatchersShareOnePoller",
		},
		{
			name: "a poller does not wait for its predecessor",
			in:   "service/watch.Hub.start",
			from: `before != nil`,
			to:   `before != nil && !before.retired`,
			red:  "service/watch.TestSuccessorWaitsAndStays",
		},
		{
			name: "concurrent calls send one request each",
			in:   "service/observe.Observer.enter",
			from: `o.flights[key]`,
			to:   `(*flight[V])(nil)`,
			red:  "service/observe.TestConcurrentCallsShareOneRequest",
		},
		{
			name: "the transport resends a request on its own",
			in:   "upstream.trip.gotConnection",
			from: `t.sent.Add(1) > 1`,
			to:   `t.sent.Add(1) > 9`,
			red:  "upstream.TestRepeatsAreBounded",
		},
		{
			name: "every request is resent over a new connection",
			in:   "upstream.Client.attempt",
			from: `q.Resend && !resent`,
			to:   `!resent`,
			red:  "upstream.TestBrokenConnectionsAreNotRetried",
		},
	},
}
