// Package kootask is the Go client of kootask: it tells how a KooDrive task stands, and watches one until it is finished.
//
//	client, err := kootask.New(kootask.Config{Addr: "kootask.example:9090", TLS: &tls.Config{}, Token: token})
//	if err != nil { … }
//	defer client.Close()
//
//	for task, err := range client.Watch(ctx, "1534087020903704704") {
//		if err != nil {
//			return err // The watch is over.
//		}
//		fmt.Println(task.GetStatus())
//	}
//
// A watch goes on when the server is redeployed or the connection breaks: it begins anew after the delay that the server
// asked for, and hands out no task twice. What it cannot go on after it says as an [*Error].
//
// A task that failed is a value: its status says so. [FailedTaskAsError] makes it an error.
package kootask
