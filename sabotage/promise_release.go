package main

var promiseRelease = promise{
	name: "Release",
	text: "When the last watcher has left, KooDrive is no longer polled with that credential. " +
		"A watch lasts at most 36 minutes, and ends with its caller's token and with the second consecutive rejection " +
		"of its credential.",
	broken: []sabotage{
		{
			name: "a wait over HTTP outlives its client",
			in:   "service/gateway.Gateway.EndsWithClient",
			from: `found.stream || found.waits`,
			to:   `found.stream`,
			red:  "cmd/kootask/server.TestLeavingAWait",
		},
		{
			name: "the end of a connection is missed after extra bytes",
			in:   "cmd/kootask/server.ahead.endWith",
			from: `a.attend(cancel)`,
			to:   `func() {}`,
			red:  "cmd/kootask/server.TestWatchEndsWhenItsClientCloses",
		},
		{
			name: "a poller outlives its last watcher",
			in:   "service/watch.poller.remove",
			from: `p.stop() } return ended`,
			to:   `p.retired = false }; return nil`,
			red:  "cmd/kootask/server.TestSessionDiesWithTheLastWatcher",
		},
		{
			name: "a request outlives its last caller",
			in:   "service/observe.Observer.leave",
			from: `f.waiting == 0`,
			to:   `false`,
			red:  "service/observe.TestLastCallersLeavingEndsTheRequest",
		},
		{
			name: "a request outlives its last caller in the queue",
			in:   "upstream.limiter.acquire",
			from: `l.giveUp(w)`,
			to:   `_ = w.then`,
			red:  "upstream.TestWaitingRequestsHaveNoGoroutine",
		},
		{
			name: "the poll of a watch outlives the watch",
			in:   "service/observe.Observer.Begin",
			from: `o.leave(f)`,
			to:   ``,
			red:  "service/observe.TestBegin",
		},
		{
			name: "a watch lasts 20 times as long",
			in:   "service.Service.end",
			from: `time.Now().Add(lifetime)`,
			to:   `time.Now().Add(20 * lifetime)`,
			red:  "cmd/kootask/server.TestLifetime",
		},
		{
			name: "a watch survives a second rejection",
			in:   "service/reason.tolerance",
			from: `UpstreamTokenRejected:      2`,
			to:   `UpstreamTokenRejected:      3`,
			red:  "cmd/kootask/server.TestWatchSurvivesFailures",
		},
		{
			name: "a new watcher gets the state of a rejected credential",
			in:   "service/watch.core.strike",
			from: `c.state.Doubted, c.state.Doubt = true, c.state.Err`,
			to:   `c.state.Doubt = c.state.Err`,
			red:  "service/watch.TestDoubt",
		},
		{
			name: "the page goes on to watch a stopped task",
			in:   "service/gateway/console/watches.js",
			from: `for (const lane of this.#lanes) lane.remove(task);`,
			to:   ``,
			red:  "cmd/kootask.TestConsoleStoppedTask",
		},
	},
}
