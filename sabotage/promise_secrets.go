package main

var promiseSecrets = promise{
	name: "Secrets",
	text: "No credential and no app secret appears in a log, an error or a metric, and none is read from a URL.",
	broken: []sabotage{
		{
			name: "the page stores credentials in the browser",
			in:   "service/gateway/console/credentials.js",
			from: `if (value === '') continue;`,
			to:   `if (value === '') continue; sessionStorage.setItem(id, value);`,
			red:  "cmd/kootask.TestConsoleKeepsNoToken",
		},
		{
			name: "log lines contain the credential",
			in:   "service/caller.Caller.AppendAttrs",
			from: `c.Fingerprint`,
			to:   `c.Authorization().Reveal()`,
			red:  "cmd/kootask/server.TestOneLogLinePerCall",
		},
		{
			name: "a malformed task id is logged",
			in:   "service/caller.Caller.AppendAttrs",
			from: `!taskid.Valid(taskID)`,
			to:   `taskid.MaxLength == 0`,
			red:  "service/caller.TestInvalidTaskIDsAreNotLogged",
		},
		{
			name: "a printed secret is readable",
			in:   "internal/secret.Value.Format",
			from: `redacted`,
			to:   `v.Reveal()`,
			red:  "upstream.TestSecretsDoNotPrint",
		},
		{
			name: "errors quote the bytes of an invalid answer",
			in:   "upstream.quotable",
			from: `errors.New("the connection broke, or the server does not speak HTTP")`,
			to:   `err`,
			red:  "upstream.TestErrorsQuoteNothing",
		},
		{
			name: "log lines of the HTTP library quote requests",
			in:   "cmd/kootask/server.libraryLog.Write",
			from: `m[1]+m[2]`,
			to:   `text`,
			red:  "cmd/kootask/server.TestFloodsOfBrokenConnectionsAreSampled",
		},
		{
			name: "any field name of KooDrive's answer is logged",
			in:   "upstream.fields",
			from: `!fieldForm.MatchString(name)`,
			to:   `name == ""`,
			red:  "upstream.TestShapesOfBodies",
		},
		{
			name: "errors about the policy quote the file",
			in:   "service/auth.unquoted",
			from: `quotation.ReplaceAllString(text, "$1$2$3$4")`,
			to:   `text`,
			red:  "service/auth.TestParsePolicy",
		},
		{
			name: "a value may end its text in a log line",
			in:   "cmd/kootask/logging.appendString",
			from: `b == '"'`,
			to:   `false`,
			red:  "cmd/kootask/logging.TestJSONIsThatOfSlog",
		},
		{
			name: "a log line takes the text of another",
			in:   "cmd/kootask/logging.queue.add",
			from: `start := len(q.room)`,
			to:   `start := 0`,
			red:  "cmd/kootask/logging.TestLinesKeepTheirTexts",
		},
	},
}
