package quota_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/internal/rates"
	"github.com/kootask/kootask/service/quota"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// list returns n tasks of a caller, beginning with the one of a number.
func list(from, n int, caller byte, peer string) []quota.Subject {
	all := make([]quota.Subject, n)
	for i := range all {
		number := from + i
		all[i] = quota.Subject{Key: upstream.Key{byte(number), byte(number >> 8), caller}, Caller: upstream.Key{caller}, Peer: peer}
	}
	return all
}

func none(int) bool { return false }

// limitOf returns the name of the limit that refused a list, or the outcome of another error.
func limitOf(err error) string {
	var e *reason.Error
	if !errors.As(err, &e) {
		return ""
	}
	if name := e.Metadata["limitName"]; name != "" {
		return name
	}
	return e.Outcome.Name
}

// The limits on watched tasks take a list or refuse it as a whole.
func TestListsAreTakenAsAWhole(t *testing.T) {
	const perCredential, inAll = "max-tasks-per-credential", "FACADE_OVERLOADED"
	for name, row := range map[string]struct {
		config  quota.Config
		before  [][]quota.Subject // Watched.
		list    []quota.Subject
		refused string
		fits    int // So many more tasks of the caller fit afterwards, and no more.
	}{
		"it exceeds the credential's limit": {
			quota.Config{}, [][]quota.Subject{list(0, 950, 1, "a")}, list(1000, 100, 1, "a"), perCredential, 50,
		},
		"it reaches the credential's limit": {quota.Config{}, [][]quota.Subject{list(0, 900, 1, "a")}, list(1000, 100, 1, "a"), "", 0},
		"a part of it is watched with the credential": {
			quota.Config{}, [][]quota.Subject{list(0, 950, 1, "a")}, list(900, 100, 1, "a"), "", 0,
		},
		"all of it is watched with the credential": {quota.Config{}, [][]quota.Subject{list(0, 1000, 1, "a")}, list(0, 100, 1, "a"), "", 0},
		"it is watched with another credential": {
			quota.Config{}, [][]quota.Subject{list(0, 950, 1, "a"), list(1000, 100, 2, "a")}, list(1000, 100, 1, "a"), perCredential, 50,
		},
		"it exceeds the limit of all": {
			quota.Config{MaxTasks: 1000}, [][]quota.Subject{list(0, 950, 2, "a")}, list(0, 100, 1, "a"), inAll, 50,
		},
		"it reaches the limit of all": {quota.Config{MaxTasks: 1000}, [][]quota.Subject{list(0, 900, 2, "a")}, list(0, 100, 1, "a"), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			row.config.NewTasksPerPeer = 10_000
			q := quota.New(row.config)
			defer q.Close()
			for _, before := range row.before {
				if _, err := q.Watch(before, none); err != nil {
					t.Fatal(err)
				}
			}
			begun, err := q.Watch(row.list, none)
			if got := limitOf(err); got != row.refused {
				t.Errorf("refused by %q, want %q", got, row.refused)
			}
			if want := len(row.list); err == nil && len(begun) != want || err != nil && begun != nil {
				t.Errorf("%d watches", len(begun))
			}
			for i := range row.fits {
				if _, err := q.Watch(list(2000+i, 1, 1, "a"), none); err != nil {
					t.Fatalf("%d more tasks fit, want %d: %v", i, row.fits, err)
				}
			}
			if _, err := q.Watch(list(3000, 1, 1, "a"), none); err == nil {
				t.Errorf("more than %d more tasks fit", row.fits)
			}
		})
	}
}

// The new tasks of a list wait together for their address's rate.
func TestNewTasksOfAListWaitTogether(t *testing.T) {
	for name, row := range map[string]struct {
		rate, used    int           // The address has begun so many tasks
		ago           time.Duration // so long ago.
		list          int
		wait          time.Duration
		refused       bool          // RetryAfter is wait then.
		next          time.Duration // So long a watch of one task waits afterwards,
		nextIsRefused bool          // or it is refused, with this delay.
	}{
		"it is a part of the burst":                {rate: 20, list: 100},
		"it is the burst":                          {rate: 20, list: 200, next: time.Second / 20},
		"it is more than is left of the burst":     {rate: 20, used: 150, list: 100, wait: 2500 * time.Millisecond, next: 2550 * time.Millisecond},
		"the burst has come back in part":          {rate: 20, used: 200, ago: time.Second, list: 100, wait: 4 * time.Second, next: 4050 * time.Millisecond},
		"it is larger than the burst":              {rate: 1, list: 30, next: 21 * time.Second},
		"it is much larger than the burst":         {rate: 1, list: 100, next: 61 * time.Second, nextIsRefused: true},
		"it is no multiple of the burst":           {rate: 2, list: 47, next: 14 * time.Second},
		"it is larger, and the bucket is not full": {rate: 1, used: 3, list: 20, wait: 3 * time.Second, next: 14 * time.Second},
		"it is larger, and the bucket owes":        {rate: 1, used: 30, list: 11, wait: 30 * time.Second, next: 2 * time.Second, nextIsRefused: true},
		"the wait would be too long":               {rate: 1, used: 31, list: 11, wait: time.Second, refused: true, next: 22 * time.Second},
		"the wait was too long a while ago":        {rate: 1, used: 31, ago: time.Second, list: 11, wait: 30 * time.Second, next: 2 * time.Second, nextIsRefused: true},
		"the burst has come back":                  {rate: 1, used: 40, ago: 40 * time.Second, list: 100, next: 61 * time.Second, nextIsRefused: true},
		"100 tasks have been paid":                 {rate: 1, used: 100, ago: 100 * time.Second, list: 100, next: 61 * time.Second, nextIsRefused: true},
		"100 tasks have been paid in part":         {rate: 1, used: 100, ago: 69 * time.Second, list: 100, wait: time.Second, refused: true, next: 22 * time.Second},
		"100 tasks are paid within the patience":   {rate: 1, used: 100, ago: 70 * time.Second, list: 100, wait: 30 * time.Second, next: 91 * time.Second, nextIsRefused: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := quota.New(quota.Config{NewTasksPerPeer: row.rate})
				defer q.Close()
				use(t, q, row.used)
				time.Sleep(row.ago)
				begin := func(list []quota.Subject, want time.Duration, refused bool) {
					t.Helper()
					begun, err := q.Watch(list, none)
					if refused {
						var e *reason.Error
						if !errors.As(err, &e) || limitOf(err) != "new-tasks-per-peer" || e.RetryAfter.Round(time.Microsecond) != want {
							t.Errorf("%d tasks: %+v, want a refusal with a delay of %v", len(list), err, want)
						}
						return
					}
					if err != nil {
						t.Fatalf("%d tasks: %v", len(list), err)
					}
					for i, w := range begun {
						if w.Wait.Round(time.Microsecond) != want {
							t.Fatalf("task %d of %d waits %v, want %v", i, len(list), w.Wait, want)
						}
						w.Answered()
					}
				}
				begin(list(0, row.list, 1, "a"), row.wait, row.refused)
				begin(list(1000, 1, 1, "a"), row.next, row.nextIsRefused)
				begin(list(2000, 1, 1, "b"), 0, false)
			})
		})
	}
}

// use begins n tasks of the address a, which are answered at once.
func use(t *testing.T, q *quota.Quota, n int) {
	t.Helper()
	if n == 0 {
		return
	}
	begun, err := q.Watch(list(5000, n, 9, "a"), none)
	if err != nil {
		t.Fatal(err)
	}
	leave(begun)
}

func leave(begun []quota.Watch) {
	for i := range begun {
		begun[i].Leave()
	}
}

// Only the new tasks of a list wait and count.
func TestTasksOfAListThatAreNotNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota.New(quota.Config{NewTasksPerPeer: 1})
		defer q.Close()
		use(t, q, rates.Burst)
		all := list(0, 5, 1, "a")
		if _, err := q.Watch(all[:1], func(int) bool { return true }); err != nil {
			t.Fatal(err)
		}
		q.Learn(all[1], nil)
		asked := map[int]bool{}
		begun, err := q.Watch(all, func(i int) bool { asked[i] = true; return i == 2 })
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"watched", "known", "withheld", "new", "new"} {
			want := time.Duration(0)
			if name == "new" {
				want = 2 * time.Second
			}
			if begun[i].Wait != want {
				t.Errorf("a task that is %s waits %v, want %v", name, begun[i].Wait, want)
			}
			if i < 2 == asked[i] {
				t.Errorf("withheld was called for a task that is %s: %v", name, asked[i])
			}
		}
	})
}

// A list that its address's rate refuses is not watched, and takes nothing of any limit.
func TestListThatTheRateRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota.New(quota.Config{NewTasksPerPeer: 1, MaxTasksPerCredential: 50, MaxTasks: 50})
		defer q.Close()
		use(t, q, 40)
		all := list(0, 45, 1, "a")
		if _, err := q.Watch(all, none); !isLimit(err) {
			t.Fatal(err)
		}
		for _, s := range all {
			if _, err := q.Call(s, never); !isLimit(err) {
				t.Errorf("a call for a task of the list: %v", err)
			}
		}
		others, err := q.Watch(list(1000, 50, 1, "a"), func(int) bool { return true })
		if err != nil {
			t.Errorf("as many tasks as may be watched: %v", err)
		}
		leave(others)
		time.Sleep(10 * time.Minute)
		if _, err := q.Watch(all, none); err != nil { // It is larger than may be pending.
			t.Errorf("when nothing is pending: %v", err)
		}
	})
}

// Each task of a list has a first request of its own. While many of an address are pending, no more begin; a list that is
// larger than that begins when none is.
func TestPendingRequestsOfAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = rates.Burst + int(quota.PeerPatience/time.Second)
		q := quota.New(quota.Config{NewTasksPerPeer: 1})
		defer q.Close()
		begun, err := q.Watch(list(0, 100, 1, "a"), none)
		if err != nil {
			t.Fatal(err)
		}
		begins := func(pending, n int, want bool) {
			t.Helper()
			time.Sleep(10 * time.Minute) // The rate permits everything again.
			more, err := q.Watch(list(1000, n, 1, "a"), none)
			if (err == nil) != want || err != nil && !isLimit(err) {
				t.Errorf("%d tasks while %d are pending: %v", n, pending, err)
			}
			leave(more)
		}
		for i := range begun {
			switch pending := len(begun) - i; pending {
			case 100, most:
				begins(pending, 1, false)
			case most - 1:
				begins(pending, 1, true)
				begins(pending, 2, false)
			case 1:
				begins(pending, most-1, true)
				begins(pending, most, false)
				begins(pending, 100, false)
			}
			begun[i].Answered()
			begun[i].Answered() // Counts once.
		}
		begins(0, most, true)
		begins(0, 100, true)
	})
}

// Each task of a list leaves by itself, once. That ends its first request too.
func TestTasksOfAListLeaveSeparately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota.New(quota.Config{NewTasksPerPeer: 1, MaxTasksPerCredential: 100})
		defer q.Close()
		all := list(0, 100, 1, "a")
		begun, err := q.Watch(all, none)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		for range 2 {
			leave(begun[:61]) // The address may have 40 pending requests.
		}
		if _, err := q.Watch(list(1000, 61, 1, "b"), none); err != nil {
			t.Errorf("as many tasks as have left: %v", err)
		}
		if _, err := q.Watch(list(2000, 1, 1, "b"), none); !isLimit(err) {
			t.Errorf("one more than have left: %v", err)
		}
		for i, want := range map[int]bool{60: false, 61: true} {
			asked := false
			if _, err := q.Call(all[i], func() bool { asked = true; return true }); err != nil || asked == want {
				t.Errorf("task %d is watched: %v, want %v; %v", i, !asked, want, err)
			}
		}
		if _, err := q.Call(list(3000, 1, 1, "a")[0], never); err != nil {
			t.Errorf("one more pending request: %v", err)
		}
	})
}
