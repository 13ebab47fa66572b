// Command watchers opens many watches, and measures how long each change takes to reach them. It prints one line of JSON when all
// watches are open, and then one for each order on its standard input:
//
//	run ROUNDS   make a change and wait until every watcher has it, ROUNDS times
//	stat         report heartbeats and ended streams
//	stall        from now on, do not read the connections of -silent
//
// It ends with its input. All kinds are read with as few instructions as possible, so that the server's part of the machine is
// the same for all.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kootask/kootask/bench/result"
)

// patience is how long the watchers may take to open, and how long a change may take to arrive.
var patience = flag.Duration("patience", 2*time.Minute, "time that the watches may take to open, and a change to arrive")

// options are the flags.
type options struct {
	kind, addr, control       string
	n, conns, silent          int
	tasks                     bool
	perStream                 int
	prefix                    string
	perCaller                 int
	random, atOnce            bool
	pad                       int
	gap                       time.Duration
	waitForFirst, waitForOpen bool
}

func flags() options {
	var o options
	flag.StringVar(&o.kind, "kind", "grpc", "grpc, etcd, sse or ndjson")
	flag.StringVar(&o.addr, "addr", "", "address of the server")
	flag.StringVar(&o.control, "control", "", "where changes are made: the address of a control port, or of etcd or nchan itself")
	flag.IntVar(&o.n, "n", 1, "number of watchers")
	flag.IntVar(&o.conns, "conns", 1, "number of connections; sse and ndjson have one for each watcher")
	flag.IntVar(&o.silent, "silent", 0, "number of additional connections with as many watchers, which stall stops reading")
	flag.BoolVar(&o.tasks, "tasks", false, "each watcher watches a task of its own")
	flag.IntVar(&o.perStream, "per-stream", 1, "number of the tasks of -tasks on one stream, over gRPC")
	flag.StringVar(&o.prefix, "prefix", "m", "beginning of the ids of -tasks")
	flag.IntVar(&o.perCaller, "per-caller", 1000, "number of the tasks of -tasks with one token")
	flag.BoolVar(&o.random, "random", false, "open the streams on the connections in random order")
	flag.BoolVar(&o.atOnce, "at-once", false, "open all watches without waiting for earlier ones")
	flag.IntVar(&o.pad, "pad", 0, "additional bytes in each change")
	flag.DurationVar(&o.gap, "gap", 50*time.Millisecond, "pause between a change and the next")
	flag.BoolVar(&o.waitForFirst, "first", false, "a watch is open when its first task has arrived")
	flag.BoolVar(&o.waitForOpen, "open", false, "ask the control port how many watches are open")
	flag.Parse()
	return o
}

func main() {
	o := flags()
	w := newWatchers(o, newSource(o))
	setup, err := w.open()
	if err != nil {
		log.Fatalf("opening %d watches of %s: %v; %d ended %s", o.n, o.addr, err, w.ended.Load(), w.reason())
	}
	out := json.NewEncoder(os.Stdout)
	encode := func(r result.Watches) {
		r.Heartbeats, r.Ended, r.Why = int(w.heartbeats.Load()), int(w.ended.Load()), w.reason()
		if err := out.Encode(r); err != nil {
			log.Fatal(err)
		}
	}
	encode(result.Watches{Setup: setup.Seconds()})
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		order, argument, _ := strings.Cut(orders.Text(), " ")
		var answer result.Watches
		switch order {
		case "run":
			rounds, err := strconv.Atoi(argument)
			if err != nil {
				log.Fatal(err)
			}
			if answer, err = w.run(rounds); err != nil {
				log.Fatal(err)
			}
		case "stall":
			w.stalled.Store(true)
		case "stat":
		default:
			log.Fatalf("unknown order %q", order)
		}
		encode(answer)
	}
}

// cpu returns the CPU time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// counter is a number that wakes one waiter when it reaches a goal.
type counter struct {
	atomic.Int64
	goal    atomic.Int64
	reached chan struct{} // Of capacity 1.
	failed  <-chan struct{}
}

// newCounter returns a counter whose goals are not waited for after failed is closed.
func newCounter(failed <-chan struct{}) *counter {
	return &counter{reached: make(chan struct{}, 1), failed: failed}
}

// add adds n, and returns the sum.
func (c *counter) add(n int64) int64 {
	sum := c.Add(n)
	if goal := c.goal.Load(); sum >= goal && sum-n < goal {
		c.wake()
	}
	return sum
}

func (c *counter) wake() {
	select {
	case c.reached <- struct{}{}:
	default:
	}
}

// await waits until the number has reached a goal.
func (c *counter) await(goal int64) error {
	select {
	case <-c.reached: // It belongs to an earlier goal.
	default:
	}
	if c.goal.Store(goal); c.Load() >= goal {
		return nil
	}
	select {
	case <-c.reached:
		return nil
	case <-c.failed:
		return fmt.Errorf("%d of %d when one ended", c.Load(), goal)
	case <-time.After(*patience):
		return fmt.Errorf("%d of %d after %v", c.Load(), goal, *patience)
	}
}
