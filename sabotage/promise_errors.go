package main

var promiseErrors = promise{
	name: "Errors",
	text: "Every error of kootask has ErrorInfo and RequestInfo, and RetryInfo exactly where a retry helps. " +
		"It has at most 4 KiB, LocalizedMessage exactly if the call named a language, and no text of KooDrive or the " +
		"network. " +
		"It means the same over gRPC, REST, JSON lines and server-sent events.",
	broken: []sabotage{
		{
			name: "clients' retry policies get no pushback",
			in:   "service/rpcserver.trailer",
			from: `*retry <= MaxPushback`,
			to:   `*retry < 0`,
			red:  "service/rpcserver.TestTrailerControlsRetryPolicies",
		},
		{
			name: "a retryable error has no RetryInfo",
			in:   "service/reason.rows",
			from: `taskv1.ErrorReason_SERVER_OVERLOADED: {code: codes.Unavailable, retry: soon`,
			to:   `taskv1.ErrorReason_SERVER_OVERLOADED: {code: codes.Unavailable`,
			red:  "service/reason.TestEveryReason",
		},
		{
			name: "a permanent error has RetryInfo",
			in:   "service/reason.rows",
			from: `taskv1.ErrorReason_CREDENTIAL_REJECTED: {`,
			to:   `taskv1.ErrorReason_CREDENTIAL_REJECTED: {retry: soon,`,
			red:  "service/reason.TestEveryReason",
		},
		{
			name: "the message contains text of KooDrive or the network",
			in:   "service/reason.Error.Status",
			from: `row.english`,
			to:   `row.english+" "+e.Error()`,
			red:  "cmd/kootask/server.TestKooDriveThatCannotBeReached",
		},
		{
			name: "an error before the first message has no ErrorInfo",
			in:   "service/gateway.Gateway.handleError",
			from: `name == ""`,
			to:   `name != name`,
			red:  "service/gateway.TestEndsOfStreams",
		},
		{
			name: "the last event of a stream has no ErrorInfo",
			in:   "service/gateway.Gateway.finish",
			from: `reason.Complete(status.Convert(err), who.RequestID, who.Language)`,
			to:   `status.Convert(err)`,
			red:  "service/gateway.TestEndsOfStreams",
		},
		{
			name: "errors of calls are only in English",
			in:   "service/rpcserver.calls.end",
			from: `call.who.Language`,
			to:   `""`,
			red:  "cmd/kootask/server.TestErrorsAreInTheCallersLanguage",
		},
		{
			name: "errors of the gateway are only in English",
			in:   "service/gateway.Gateway.refuse",
			from: `who.Language`,
			to:   `""`,
			red:  "cmd/kootask/server.TestErrorsAreInTheCallersLanguage",
		},
		{
			name: "a reason has no Chinese text",
			in:   "service/reason.chinese",
			from: `"路径不存在。"`,
			to:   `""`,
			red:  "service/reason.TestCatalogue",
		},
		{
			name: "errors have no request id",
			in:   "service/reason.Error.Status",
			from: `RequestId: clean(requestID)`,
			to:   ``,
			red:  "cmd/kootask/server.TestRequestID",
		},
		{
			name: "every error code of KooDrive is passed on",
			in:   "service/reason.Error.metadata",
			from: `isUpstreamCode(e.UpstreamCode)`,
			to:   `e.UpstreamCode != ""`,
			red:  "service/reason.TestEveryReason",
		},
		{
			name: "error details may have any size",
			in:   "service/reason.clean",
			from: `len(s) > maxMetadata`,
			to:   `len(s) > maxMetadata<<10`,
			red:  "service/reason.TestEveryReason",
		},
		{
			name: "an answer lacks a documented header",
			in:   "service/gateway.writeError",
			from: `"WWW-Authenticate"`,
			to:   `"X-Authenticate"`,
			red:  "cmd/kootask/server.TestBadCredentials",
		},
		{
			name: "a reason has an undocumented HTTP status",
			in:   "service/gateway.httpStatus",
			from: `http.StatusMethodNotAllowed`,
			to:   `http.StatusNotImplemented`,
			red:  "service/gateway.TestDescriptionHasEveryReason",
		},
	},
}
