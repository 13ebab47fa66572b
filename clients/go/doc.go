// Package kootask is the Go client of kootask. It reports the status of KooDrive tasks, once or until they are finished.
//
//	client, err := kootask.New(kootask.Config{Addr: "kootask.example:9090", TLS: &tls.Config{}, Token: token})
//	if err != nil { … }
//	defer client.Close()
//
//	for task, err := range client.Watch(ctx, "1534087020903704704") {
//		if err != nil {
//			return err // The watch has ended.
//		}
//		fmt.Println(task.GetStatus())
//	}
//
// A watch continues when the server is redeployed or the connection breaks: it resumes after the delay that the server
// asks for, and yields no state twice. If it cannot resume, it ends with an [*Error].
//
// [Client.WatchAll] watches any number of tasks. [Client.Wait] returns a task once it is finished.
//
// A failed task is a value with the status FAILED. [FailedTaskAsError] turns it into an error.
package kootask
