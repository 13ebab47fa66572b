// Package koodrivetest simulates KooDrive for tests: the task routes of Huawei Cloud's drive as an [http.Handler], with
// tasks that follow a script, faults on demand and a log of every request.
//
//	koodrive := koodrivetest.New()
//	koodrive.AddToken("secret", 20*time.Minute)
//	koodrive.SetTask(koodrivetest.Task{ID: "1534087020903704705", Steps: []koodrivetest.Step{
//		{Status: koodrivetest.StatusNew},                              // one answer
//		{Status: koodrivetest.StatusExecuting, For: 10 * time.Second}, // then ten seconds of these
//		{Status: koodrivetest.StatusExecuting, Fault: koodrivetest.Answer(http.StatusBadGateway, "")},
//		{Status: koodrivetest.StatusSuccess}, // from then on
//	}})
//	server := httptest.NewServer(koodrive)
//	defer server.Close()
//
// It is as strict as KooDrive's documents. A token works until it has been idle for too long. A signature is computed
// from the received bytes, and its X-Date may be at most 15 minutes old and not in the future. A failed task is
// answered with HTTP 200 and code 0. Where the documents are silent, for example on the answer to an unknown task, the
// package follows their error tables. So agreement with it does not prove agreement with the real service.
//
// A KooDrive can also be configured in JSON, with [ParseScript], and over HTTP while it runs, with [KooDrive.Control].
//
// It starts no goroutine, opens no port and reads the time only from package time. So it also works with an in-memory
// listener inside a testing/synctest bubble, where a day of polling takes no time.
//
// It does not implement users, spaces or files, and its answers are the same in every language.
package koodrivetest
