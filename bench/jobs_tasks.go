package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The numbers of distinct tasks: those of bars 11, 12 and 14, and kootask's default limit.
const (
	tasks    = 20000
	maxTasks = 100000
	opened   = 2000
	listed   = 5000
)

// firstRest is how long the watches of tasks with a fixed interval rest before they are measured.
const firstRest = 7 * time.Second

// every are the flags for a fixed interval.
func every(interval time.Duration, flags ...string) []string {
	return with(flags, fmt.Sprint("--poll-min=", interval), fmt.Sprint("--poll-max=", interval))
}

// watchTasks opens watches of n distinct tasks of many callers, of a kootask with some flags. It notes the memory for each,
// after a rest.
func (b *bench) watchTasks(
	ctx context.Context, name string, tasks int, rest time.Duration, flags []string, driver ...string,
) (*kootask, *watchers, error) {
	n := b.n(tasks)
	k, err := b.kootask(ctx, 0, flags...)
	if err != nil {
		return nil, nil, err
	}
	// The first watches load code and open connections, whose memory belongs to no task.
	first, err := b.watch(ctx, k.server, 100, with(driver, "-first", "-tasks", "-prefix", "first")...)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(first.leave(), k.empty(ctx), pause(ctx, settle/2)); err != nil {
		return nil, nil, err
	}
	base, err := k.memory()
	if err != nil {
		return nil, nil, err
	}
	w, err := b.watch(ctx, k.server, n, with(driver, "-first", "-tasks")...)
	if err != nil {
		return nil, nil, err
	}
	if err := pause(ctx, rest); err != nil {
		return nil, nil, err
	}
	used, err := k.memory()
	b.note(name+" B", (used-base)/float64(n))
	return k, w, err
}

// perPoll notes the CPU time of each poll, without that of the heartbeats. The cost of a heartbeat is the one that was
// measured with 50,000 watchers of one task.
func (b *bench) perPoll(name string) {
	f := b.figures
	b.note(name+" µs", (f[name+" CPU s"]*1e6-f[name+" heartbeats"]*f.get("heartbeat µs"))/f[name+" polls"])
}

// distinct measures 20,000 tasks, each polled every 5 s.
func distinct(ctx context.Context, b *bench) error {
	name := fmt.Sprint("tasks ", tasks)
	k, w, err := b.watchTasks(ctx, name, tasks, firstRest, every(5*time.Second))
	if err != nil {
		return err
	}
	if err := b.observe(ctx, name, k, w, 16*time.Second); err != nil {
		return err
	}
	b.perPoll(name)
	return nil
}

// ceiling measures 20,000 tasks that would be polled every 5 s, at a ceiling of half as many requests.
func ceiling(ctx context.Context, b *bench) error {
	n := b.n(tasks)
	rate := n / 10
	k, w, err := b.watchTasks(ctx, "ceiling", tasks, firstRest, every(5*time.Second, fmt.Sprint("--upstream-rps=", rate)))
	if err != nil {
		return err
	}
	if _, err := request("POST", "http://"+k.control+"/forget"); err != nil {
		return err
	}
	if err := b.observe(ctx, "ceiling", k, w, 32*time.Second); err != nil {
		return err
	}
	b.perPoll("ceiling")
	longest, err := number("http://" + k.control + "/longest")
	b.note("longest gap / fair", longest/(float64(n)/float64(rate)))
	return err
}

// first measures the last first answer when all watches are opened at once, at one address, at a ceiling of 200 requests
// per second.
func first(ctx context.Context, b *bench) error {
	const rate = 200
	n := b.n(opened)
	for _, callers := range []int{1, 20} {
		k, err := b.kootask(ctx, 0, "--upstream-rps="+itoa(rate))
		if err != nil {
			return err
		}
		w, err := b.watch(ctx, k.server, n, "-first", "-tasks", "-per-caller", itoa(n/callers), "-conns", "20", "-at-once")
		if err != nil {
			return fmt.Errorf("%d callers: %w", callers, err)
		}
		b.note(fmt.Sprint("last first answer / fair, callers: ", callers), w.setup/(float64(n)/rate))
		if err := w.leave(); err != nil {
			return err
		}
		if err := b.stopAll(); err != nil {
			return err
		}
	}
	return nil
}

// full measures 100,000 tasks, polled 5,000 times per second.
func full(ctx context.Context, b *bench) error {
	name := fmt.Sprint("tasks ", maxTasks)
	flags := every(20*time.Second, fmt.Sprint("--upstream-rps=", b.n(maxTasks)/20))
	k, w, err := b.watchTasks(ctx, name, maxTasks, firstRest, flags)
	if err != nil {
		return err
	}
	if err := b.observe(ctx, name, k, w, 24*time.Second); err != nil {
		return err
	}
	b.perPoll(name)
	return nil
}

// taskSizes measures fewer distinct tasks, for the plots.
func taskSizes(ctx context.Context, b *bench) error {
	for _, size := range []int{1000, 5000, 10000} {
		name := fmt.Sprint("tasks ", size)
		k, w, err := b.watchTasks(ctx, name, size, firstRest, every(5*time.Second))
		if err != nil {
			return err
		}
		if err := b.observe(ctx, name, k, w, 8*time.Second); err != nil {
			return err
		}
		b.perPoll(name)
		if err := w.leave(); err != nil {
			return err
		}
		if err := b.stopAll(); err != nil {
			return err
		}
	}
	return nil
}

// lists measures 5,000 tasks on a stream each, and on streams with 100 tasks each: their memory at kootask's own intervals, and
// the CPU time while KooDrive is not asked, since a poll costs the same in both cases.
func lists(ctx context.Context, b *bench) error {
	const concurrency = "--upstream-concurrency=64" // As by default.
	for _, row := range []struct {
		name, perStream string
		flags           []string
		watch           time.Duration
	}{
		{"streams", "1", []string{concurrency}, 0},
		{"lists", "100", []string{concurrency}, 0},
		{"quiet streams", "1", every(2*time.Minute, "--poll-backoff-max=2m", concurrency), 48 * time.Second}, // 6 heartbeats.
		{"quiet lists", "100", every(2*time.Minute, "--poll-backoff-max=2m", concurrency), 48 * time.Second},
	} {
		k, w, err := b.watchTasks(ctx, row.name, listed, 30*time.Second, row.flags, "-per-stream", row.perStream)
		if err != nil {
			return err
		}
		if err := b.observe(ctx, row.name, k, w, row.watch); err != nil {
			return err
		}
		if err := errors.Join(w.leave(), b.stopAll()); err != nil {
			return err
		}
	}
	return nil
}

// soak watches 100,000 tasks for a long time. Once a minute, all of them change.
func soak(ctx context.Context, b *bench) error {
	n := b.n(maxTasks)
	k, w, err := b.watchTasks(ctx, "soak", maxTasks, firstRest, every(20*time.Second, fmt.Sprint("--upstream-rps=", n/20)))
	if err != nil {
		return err
	}
	if _, err := request("POST", "http://"+k.control+"/forget"); err != nil {
		return err
	}
	minute, missed, highest := min(time.Minute, b.soak), 0, 0.0
	f := figures{} // The sums of the observations, each for half of a minute.
	began := time.Now()
	for time.Since(began) < b.soak {
		end := time.Now().Add(minute)
		if err := b.observe(ctx, "soak", k, w, minute/2); err != nil {
			return err
		}
		for _, name := range []string{"soak polls", "soak CPU s", "soak heartbeats"} {
			f[name] += b.figures[name]
		}
		r, err := w.order("run 1")
		if err != nil {
			return err
		}
		missed, highest = missed+r.Missed, max(highest, k.rss())
		f["seconds"] += minute.Seconds() / 2
		if err := pause(ctx, time.Until(end)); err != nil {
			return err
		}
	}
	longest, err := number("http://" + k.control + "/longest")
	if err != nil {
		return err
	}
	left, err := k.memory()
	clear(b.figures)
	b.note("tasks", float64(n))
	b.note("minutes", time.Since(began).Minutes())
	b.note("polls per second", f["soak polls"]/f["seconds"])
	b.note("heartbeats per second", f["soak heartbeats"]/f["seconds"])
	b.note("CPU per poll, heartbeats included, in µs", f["soak CPU s"]*1e6/f["soak polls"])
	b.note("CPU, in % of one core", f["soak CPU s"]/f["seconds"]*100)
	b.note("longest gap between two polls of a task, in s", longest)
	b.note("highest resident memory, in MiB", highest/(1<<20))
	b.note("memory after a garbage collection, in MiB", left/(1<<20))
	b.note("missed changes", float64(missed))
	if err == nil && missed > 0 {
		err = fmt.Errorf("%d changes were missed", missed)
	}
	return err
}
