package main

var promiseDestination = promise{
	name: "Destination",
	text: "A credential is sent only to the configured origin and to KooDrive's one path, over https unless http is " +
		"allowed. " +
		"Redirects are not followed. " +
		"The other headers come from a fixed list.",
	broken: []sabotage{
		{
			name: "redirects are followed",
			in:   "upstream.trip.exchange",
			from: `transport.RoundTrip`,
			to:   `(&http.Client{Transport: transport}).Do`,
			red:  "upstream.TestRedirectsAreNotFollowed",
		},
		{
			name: "task ids are not checked",
			in:   "upstream.Client.Query",
			from: `CheckTaskID(taskID)`,
			to:   `CheckTaskID("1")`,
			red:  "upstream.TestBadIDsAndCredentialsAreNotSent",
		},
		{
			name: "every certificate of KooDrive is accepted",
			in:   "upstream.generation.secure",
			from: `RootCAs: g.roots`,
			to:   `InsecureSkipVerify: true`,
			red:  "upstream.TestTLS",
		},
		{
			name: "http addresses are always allowed",
			in:   "upstream.Config.origin",
			from: `!c.AllowHTTP`,
			to:   `false`,
			red:  "upstream.TestConfigIsChecked",
		},
		{
			name: "the environment's proxy is used",
			in:   "upstream.generation.newTransport",
			from: `g.config.Proxy, nil`,
			to:   `http.ProxyFromEnvironment(req)`,
			red:  "upstream.TestTheDocumentedExample",
		},
		{
			name: "KooDrive gets a header that is not on the list",
			in:   "upstream.Client.build",
			from: `"User-Agent": userAgents`,
			to:   `"User-Agent": userAgents, "X-Forwarded-For": {"192.0.2.1"}`,
			red:  "upstream.TestNothingButTheAllowListIsSent",
		},
		{
			name: "changed root certificates are ignored",
			in:   "upstream.connections.enter",
			from: `!g.roots.Equal(roots)`,
			to:   `false`,
			red:  "upstream.TestRootsAreFollowed",
		},
		{
			name: "a signature may cover headers that are not sent",
			in:   "upstream.checkCovered",
			from: `return &CredentialError{Header: "authorization", Covers: name}`,
			to:   `continue`,
			red:  "upstream.TestForwardRefuses",
		},
	},
}
