// Command watchers watches tasks with many streams from one process. It prints a line for each message, and fails unless every
// stream ends after one final state, which is SUCCESS.
//
//	watchers 500 TASK_ID...
//
// The streams take the tasks in turn. KOOTASK_TOKEN has the token, and kootask is at its default address.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "watchers:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("name the number of streams, and the tasks")
	}
	streams, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	client, err := kootask.New(kootask.Config{Addr: "127.0.0.1:9090", Token: os.Getenv("KOOTASK_TOKEN")})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	var all sync.WaitGroup
	failures := make([]error, streams)
	for i, ids := 0, arguments[1:]; i < streams; i++ {
		all.Go(func() {
			if err := watch(client, i, ids[i%len(ids)]); err != nil {
				failures[i] = fmt.Errorf("stream %d: %w", i, err)
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

// watch prints the messages of one stream until it ends.
func watch(client *kootask.Client, stream int, id string) error {
	finals := 0
	for task, err := range client.Watch(context.Background(), id) {
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(os.Stdout, stream, id, task.GetStatus())
		if task.GetStatus() == taskv1.TaskStatus_TASK_STATUS_SUCCESS {
			finals++
		}
	}
	if finals != 1 {
		return fmt.Errorf("%d final states", finals)
	}
	return nil
}
