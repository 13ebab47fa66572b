package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/internal/history"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// schedules is the number of random histories; perSurface is the number of clients of each on each of the four surfaces, and
// listsPerSurface that of clients with lists on each of the three surfaces of a stream.
const (
	schedules       = 300
	perSurface      = 4
	listsPerSurface = 1
)

// found are the seeds of histories that once showed a fault.
var found = []uint64{
	// Queued requests were sent although KooDrive had sent a Retry-After meanwhile.
	13081929038439496189, 4087821727417325118, 11879357485913347184,
	// A heartbeat confirmed a state that its client had not been shown: it came and was doubted while the client did not read.
	13053946328017920088,
	// A heartbeat was late by as long as a sender waits for a step that is stuck. That is allowed.
	1071186509234849523, 12920856163627061854,
}

// The rules hold, whatever KooDrive does and whichever clients come, leave or stall: all that clients saw, on every surface, is
// judged against KooDrive's answers. KOOTASK_SOAK sets a duration for which it goes on; KOOTASK_SEED selects a single history.
func TestHistories(t *testing.T) {
	var mu sync.Mutex
	var counts history.Counts // Guarded by mu, as is n.
	n := 0
	judgeAll := func(seeds []uint64) {
		t.Run("seed", func(t *testing.T) {
			for _, seed := range seeds {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					t.Parallel()
					c := judge(t, seed)
					mu.Lock()
					defer mu.Unlock()
					counts.Add(c)
					n++
				})
			}
		})
	}
	random := func(n int) (seeds []uint64) {
		for range n {
			seeds = append(seeds, rand.Uint64())
		}
		return seeds
	}
	if only := os.Getenv("KOOTASK_SEED"); only != "" {
		seed, err := strconv.ParseUint(only, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		judgeAll([]uint64{seed})
		return
	}
	judgeAll(slices.Concat(found, random(schedules)))
	if long := os.Getenv("KOOTASK_SOAK"); long != "" {
		soak, err := time.ParseDuration(long)
		if err != nil {
			t.Fatal(err)
		}
		for start := time.Now(); time.Since(start) < soak && !t.Failed(); {
			judgeAll(random(schedules / 10))
		}
	}
	t.Logf("%d histories: %+v", n, counts)
	for name, count := range map[string]int{
		"regressions": counts.Regressions, "flips of a credential": counts.Flips, "joins at the final state": counts.FinalJoins,
		"leaves in flight": counts.LeavesInFlight, "stalls": counts.Stalls,
	} {
		if count < 50 {
			t.Errorf("only %d %s", count, name)
		}
	}
}

// judge makes the history of a seed and judges it.
func judge(t *testing.T, seed uint64) (counts history.Counts) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	const length = 150 * time.Second
	perSecond := []int{upstream.DefaultPerSecond, 4}[r.IntN(2)]
	// A message may wait for the steps of each client of its connection that does not read.
	const stuck = (perSurface + listsPerSurface) * watch.StuckAfter
	rules := history.Rules{
		FirstMessage: service.FirstMessage + stuck, Heartbeat: service.DefaultHeartbeat + stuck, StaleAfter: []time.Duration{40 * time.Second, 5 * time.Minute}[r.IntN(2)],
		Held: upstream.DefaultTimeout, Send: service.SendTimeout, Keep: observe.DefaultKeep, Released: time.Second,
		PollMin: time.Duration((1 - watch.JitterShare) * float64(time.Second)), PerSecond: perSecond + max(1, perSecond/10),
	}
	rec := &recorder{koodrives: map[string]*koodrivetest.KooDrive{}}
	koodrives := &http.Server{Handler: rec}
	var views []history.View
	bubble(t, func(c *server.Config) {
		koodrive := koodrivetest.Listen()
		go func() { _ = koodrives.Serve(koodrive) }()
		c.Upstream.Dial, c.Upstream.PerSecond = koodrive.Dial, perSecond
		c.Service.PollMax, c.Service.PollBackoffMax, c.Service.StaleAfter = 4*time.Second, 8*time.Second, rules.StaleAfter
		c.Service.WatchLifetime = []time.Duration{time.Minute, 0}[r.IntN(2)]
	}, func(t *testing.T, s *system) {
		defer koodrives.Close()
		rec.start = time.Now()
		keys := script(r, rec)
		ctx, leave := context.WithCancel(t.Context())
		over := make(chan struct{}) // No new clients come.
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 4 * perSurface {
			p := newPlan(r, i, keys, length)
			all.Go(func() {
				p.follow(ctx, t, s, rec, over, func(v history.View) {
					mu.Lock()
					defer mu.Unlock()
					views = append(views, v)
				})
			})
		}
		lists := rand.New(rand.NewPCG(seed, 1))
		moreTasks(lists, rec)
		for range listsPerSurface {
			for _, surface := range surfaces {
				p := newListPlan(lists, surface, keys, length)
				all.Go(func() {
					p.follow(ctx, t, s, rec, over, func(v history.View) {
						mu.Lock()
						defer mu.Unlock()
						views = append(views, v)
					})
				})
			}
		}
		time.Sleep(length)
		close(over)
		if r.IntN(4) == 0 {
			s.stop()
			<-s.stopped
			s.stopped <- nil
		}
		leave()
		all.Wait()
		time.Sleep(2 * rules.Released)
	})
	h := history.History{Answers: rec.answers, Views: views}
	for _, v := range h.Check(rules) {
		t.Errorf("seed %d: %v", seed, v)
	}
	if len(h.Answers) < 20 || len(h.Views) < 4*perSurface {
		t.Errorf("seed %d: %d answers, %d views", seed, len(h.Answers), len(h.Views))
	}
	return h.Count()
}
