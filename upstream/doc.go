// Package upstream requests the status of a task from KooDrive, Huawei Cloud's file drive, with its REST call "obtain
// task details", GET /koodrive/ose/v1/task/{task_id}.
//
// A Client makes one HTTP request per call. It repeats the request only if KooDrive cannot have processed it or the
// call allows that. It does not cache or share answers.
//
// Requests are built from an allow-list and only sent to the configured origin; redirects are not followed. An answer
// is accepted only if it is complete and about the requested task. Errors have one of a few types: see [Client.Begin].
//
//	client, err := upstream.NewClient(upstream.Config{BaseURL: "https://cn.myhuaweicloud-koodrive.com"})
//	…
//	credential, err := upstream.Forward(secret.New("Bearer 0123…"), "", "")
//	…
//	query, err := client.Query(credential, "1534087020903704704")
//	…
//	task, err := client.Task(ctx, query, upstream.Call{Queue: query.Caller()})
package upstream
