// Package upstream asks KooDrive, Huawei Cloud's drive, how one task stands: its REST call "obtain task details",
// GET /koodrive/ose/v1/task/{task_id}.
//
// A Client makes one HTTP request per call, and repeats it only where KooDrive cannot have processed it or the call allows
// that. It does not cache or share answers.
//
// It builds the request from an allow-list, sends it to the configured origin alone, follows no redirect, and believes
// an answer only if it is complete and about the task that was asked for. What goes wrong comes back as one of a few
// types: see [Client.Task].
//
//	client, err := upstream.NewClient(upstream.Config{BaseURL: "https://cn.myhuaweicloud-koodrive.com"})
//	…
//	credential, err := upstream.Forward(secret.New("Bearer 0123…"), "", "")
//	…
//	query, err := client.Query(credential, "1534087020903704704")
//	…
//	task, err := client.Task(ctx, query, upstream.Call{Queue: query.Caller()})
package upstream
