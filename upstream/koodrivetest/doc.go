// Package koodrivetest is KooDrive for tests: the task routes of Huawei Cloud's drive as an [http.Handler], with tasks
// that follow a script, faults on demand and a log of every request.
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
// It is as strict as KooDrive's documents are. A token works until it has been idle for too long. A signature is
// computed anew from the bytes that came, and its X-Date may be 15 minutes old and not a moment ahead. A failed task is
// answered with HTTP 200 and code 0. Where the documents are silent, as on the answer to an unknown task, it does what
// their error tables suggest; agreement with it is therefore no proof of agreement with the real service.
//
// What can be said in Go can also be said in JSON, to [ParseScript], and over HTTP while it runs, to [KooDrive.Control].
//
// It starts no goroutine, opens no port and reads the time from package time only, so it also serves an in-memory
// listener inside a testing/synctest bubble, where a day of polling takes no time.
//
// It has no users, spaces or files, and its answers are the same in every language.
package koodrivetest
