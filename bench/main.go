// Command bench measures kootask beside the programs that it is compared with, in one run on one machine, and judges the ratios:
// absolute figures depend on the machine. It builds the programs that it starts.
//
//	go run .                    # All bars, 3 repetitions, and the report.
//	go run . -only '^(6|7) '    # Some bars, printed only.
//	go run . -short             # Counts only, in a minute.
//	go run . -soak 10m          # 100,000 tasks for ten minutes.
//
// The folders below it are programs of their own: limit has the smallest program that does the same work in the same language,
// peer has programs that others would use instead, load and watchers are the clients, and koodrive stands in for KooDrive.
// All send package task's bytes. A repetition runs each job once, so that the programs alternate. The bars are in bars.go,
// and the ways in which their figures are taken in jobs_*.go: CPU is the time of the server's own processes from /proc, and
// memory is the resident memory after a garbage collection.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// nginx is the path of nginx in Debian.
const nginx = "/usr/sbin/nginx"

// figures are the results of one repetition, by name.
type figures map[string]float64

// get returns a figure; NaN if it was not measured.
func (f figures) get(name string) float64 {
	if x, found := f[name]; found {
		return x
	}
	return math.NaN()
}

// bench is a run.
type bench struct {
	bin, dir    string // The programs, and a folder for this run's files.
	kootaskPath string
	scale       float64 // Of all numbers of calls, watches and tasks.
	short       bool    // Only counts are wanted.
	soak        time.Duration
	out         io.Writer

	figures figures // Of the present repetition.
	running []*process
	drivers []*watchers
}

// n returns a number for this run.
func (b *bench) n(full int) int { return max(int(float64(full)*b.scale), min(full, 1000)) }

// note sets a figure. The result of a division by 0 is left out.
func (b *bench) note(name string, x float64) {
	if !math.IsNaN(x) && !math.IsInf(x, 0) {
		b.figures[name] = x
	}
}

// job takes some figures. Once marks those that only the first repetition takes.
type job struct {
	name string
	run  func(context.Context, *bench) error
	once bool
}

// jobs are in the order in which each repetition runs them: the later ones use figures of the earlier ones.
var jobs = []job{
	{name: "memory", run: memory},
	{name: "through", run: through},
	{name: "rest", run: rest},
	{name: "latency", run: latency},
	{name: "joined", run: joined},
	{name: "idle", run: idle},
	{name: "watch", run: watchOne},
	{name: "events", run: events},
	{name: "stalled", run: stalled},
	{name: "distinct", run: distinct},
	{name: "ceiling", run: ceiling},
	{name: "first", run: first},
	{name: "full", run: full},
	{name: "lists", run: lists},
	{name: "watch sizes", run: watchSizes, once: true},
	{name: "task sizes", run: taskSizes, once: true},
}

// options are the flags.
type options struct {
	reps          int
	only          string
	short         bool
	soak          time.Duration
	scale         float64
	kootask, lock string
}

func main() {
	var o options
	flag.IntVar(&o.reps, "reps", 3, "number of repetitions")
	flag.StringVar(&o.only, "only", "", "regular expression for the bars to measure, such as '^6 '; prints the report only")
	flag.BoolVar(&o.short, "short", false, "check only the figures that do not depend on the machine, with small numbers")
	flag.DurationVar(&o.soak, "soak", 0, "duration of a soak of 100,000 tasks; 0: measure the bars")
	flag.Float64Var(&o.scale, "scale", 1, "factor for the numbers of calls, watches and tasks, to try a change to this program")
	flag.StringVar(&o.kootask, "kootask", "", "path of the kootask to measure; empty: it is built")
	flag.StringVar(&o.lock, "lock", "", "file that is locked while a job runs, so that runs do not overlap; empty: none")
	flag.Parse()
	if flag.NArg() > 0 || o.reps < 1 || o.scale <= 0 {
		_, _ = fmt.Fprintln(os.Stderr, "bench: -reps and -scale have to be above 0, and the command takes no arguments")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second signal ends the process, even while it waits for -lock.
	err := run(ctx, o)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run builds the programs, measures, and prints or writes the report.
func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "kootask-bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{
		bin: filepath.Join(dir, "bin"), dir: filepath.Join(dir, "run"), kootaskPath: o.kootask,
		short: o.short, soak: o.soak, out: os.Stderr,
	}
	wanted, chosen := jobs, bars
	switch {
	case o.soak > 0:
		wanted, o.reps = []job{{name: "soak", run: soak}}, 1
	case o.short:
		o.scale, o.reps = .02, 1
		chosen = slices.DeleteFunc(slices.Clone(bars), func(r bar) bool { return !r.count || r.number > 6 })
		wanted = needed(chosen)
	case o.only != "":
		only, err := regexp.Compile(o.only)
		if err != nil {
			return err
		}
		chosen = slices.DeleteFunc(slices.Clone(bars), func(r bar) bool { return !only.MatchString(r.name()) })
		if wanted = needed(chosen); len(wanted) == 0 {
			return fmt.Errorf("no bar matches -only %s: each is listed in docs/performance.md", o.only)
		}
	}
	b.scale = o.scale
	if err := os.Mkdir(b.dir, 0o755); err != nil { // nginx's workers run as another user.
		return err
	}
	if err := b.build(ctx, o.short); err != nil {
		return err
	}
	r := report{Machine: machine(), Cores: runtime.NumCPU(), Commit: commit(ctx)}
	for i := range o.reps {
		b.figures = figures{}
		for _, j := range wanted {
			if j.once && i > 0 {
				continue
			}
			if err := b.do(ctx, j, o.lock); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.Failures = append(r.Failures, fmt.Sprintf("repetition %d, %s: %v", i+1, j.name, err))
				b.say("%s\n", r.Failures[len(r.Failures)-1])
			}
		}
		r.Repetitions = append(r.Repetitions, b.figures)
		if file := o.file(); file != "" { // After each repetition, because a run takes long.
			if err := r.write(file); err != nil {
				return err
			}
		}
	}
	return r.finish(o, chosen)
}

// needed returns the jobs of some bars.
func needed(chosen []bar) (wanted []job) {
	for _, j := range jobs {
		if slices.ContainsFunc(chosen, func(b bar) bool { return slices.Contains(b.jobs, j.name) }) {
			wanted = append(wanted, j)
		}
	}
	return wanted
}

// say prints progress.
func (b *bench) say(format string, values ...any) { _, _ = fmt.Fprintf(b.out, format, values...) }

// do runs a job, and stops the programs that it has started.
func (b *bench) do(ctx context.Context, j job, lock string) (err error) {
	if lock != "" {
		file, err := os.OpenFile(lock, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			return err
		}
	}
	began := time.Now()
	err = j.run(ctx, b)
	for _, w := range b.drivers {
		_ = w.command.Process.Kill() // Unless it has ended.
		_ = w.command.Wait()
	}
	b.drivers = nil
	err = errors.Join(err, b.stopAll())
	b.say("%-12s %4.0f s\n", j.name, time.Since(began).Seconds())
	return err
}

// build builds the programs for this run: all programs, or for short runs only the drivers and KooDrive's stand-in.
func (b *bench) build(ctx context.Context, short bool) error {
	wanted := []string{"./koodrive", "./load", "./watchers"}
	if !short && b.soak == 0 {
		wanted = append(wanted, "./limit/...", "./peer/...")
		if _, err := os.Stat(nginx); err != nil {
			return fmt.Errorf("nginx with nchan is needed: run make bench-peers: %w", err)
		}
	}
	commands := [][]string{append([]string{"go", "build", "-o", b.bin + "/"}, wanted...)}
	if b.kootaskPath == "" {
		b.kootaskPath = filepath.Join(b.bin, "kootask")
		commands = append(commands, []string{"go", "build", "-C", "..", "-o", b.kootaskPath, "./cmd/kootask"})
	}
	for _, argv := range commands {
		c := exec.CommandContext(ctx, argv[0], argv[1:]...)
		c.Env, c.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("%q: %w", argv, err)
		}
	}
	return nil
}

// commit returns the commit of this tree.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return string(out[:len(out)-1])
}

// openFiles is the number of files that a process may have open.
func openFiles() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return l.Max
}
