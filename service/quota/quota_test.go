package quota_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/internal/rates"
	"github.com/kootask/kootask/service/quota"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

func never() bool { return false }

// watch starts the watch of one task.
func watch(q *quota.Quota, s quota.Subject, withheld func() bool) (quota.Watch, error) {
	begun, err := q.Watch([]quota.Subject{s}, func(int) bool { return withheld() })
	if err != nil {
		return quota.Watch{}, err
	}
	return begun[0], nil
}

func subject(key, caller byte, peer string) quota.Subject {
	return quota.Subject{Key: upstream.Key{key, caller}, Caller: upstream.Key{caller}, Peer: peer}
}

func isLimit(err error) bool {
	var e *reason.Error
	return errors.As(err, &e) && e.Outcome == reason.CallerLimitReached
}

// exhaust makes an address ask for as many new tasks as it may at once, for calls.
func exhaust(t *testing.T, q *quota.Quota, peer string) {
	t.Helper()
	for i := range byte(rates.Burst) {
		if _, err := q.Call(subject(100+i, 9, peer), never); err != nil {
			t.Fatal(err)
		}
	}
}

// Watches of one new task that begin at the same time all count: one that is refused does not let the others pass.
func TestParallelWatchesOfANewTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota.New(quota.Config{NewTasksPerPeer: 1})
		defer q.Close()
		exhaust(t, q, "a")
		for range int(quota.PeerPatience / time.Second) { // Watches take the permits that they may wait for, too.
			_, _ = watch(q, subject(byte(time.Now().UnixNano()), 9, "a"), never)
			time.Sleep(time.Nanosecond)
		}
		var second error
		_, first := watch(q, subject(1, 1, "a"), func() bool {
			_, second = watch(q, subject(1, 1, "a"), never) // While the first is being decided on.
			return false
		})
		if !isLimit(first) || !isLimit(second) {
			t.Errorf("the first watch: %v, the second: %v", first, second)
		}
		if _, err := q.Call(subject(1, 1, "a"), never); !isLimit(err) {
			t.Errorf("a call for the task that nobody may watch: %v", err)
		}
		if _, err := watch(q, subject(1, 1, "b"), never); err != nil {
			t.Errorf("another address: %v", err)
		}
	})
}

// A task that is watched, known or withheld costs its address nothing. A watch that has left does not count.
func TestTasksThatAreNotNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota.New(quota.Config{NewTasksPerPeer: 1})
		defer q.Close()
		withheld, err := watch(q, subject(1, 1, "a"), func() bool { return true })
		if err != nil || withheld.Wait != 0 {
			t.Fatal(withheld.Wait, err)
		}
		q.Learn(subject(2, 1, "a"), nil)
		exhaust(t, q, "a")
		for name, row := range map[string]struct {
			task byte
			want bool
		}{"watched": {1, true}, "known": {2, true}, "new": {3, false}} {
			if _, err := q.Call(subject(row.task, 1, "a"), never); (err == nil) != row.want {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := q.Call(subject(3, 1, "a"), func() bool { return true }); err != nil {
			t.Errorf("withheld: %v", err)
		}
		withheld.Leave()
		withheld.Leave()
		if _, err := q.Call(subject(1, 1, "a"), never); !isLimit(err) {
			t.Errorf("watched no longer: %v", err)
		}
	})
}

// However watches come and go, at the end none is counted.
func TestWatchesThatLeaveAreNotCounted(t *testing.T) {
	q := quota.New(quota.Config{MaxTasks: 50, MaxTasksPerCredential: 10, NewTasksPerPeer: 1_000_000})
	defer q.Close()
	var all sync.WaitGroup
	for i := range 2000 {
		all.Go(func() {
			if w, err := watch(q, subject(byte(i%20), byte(i%7), "a"), never); err == nil {
				w.Answered()
				w.Leave()
			}
		})
	}
	all.Wait()
	for i := range byte(50) {
		if _, err := watch(q, subject(i, i/10, "a"), never); err != nil {
			t.Fatalf("watch %d: %v", i, err)
		}
	}
	if _, err := watch(q, subject(60, 6, "a"), never); err == nil || isLimit(err) {
		t.Errorf("the limit of all: %v", err)
	}
}
