package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/kootask/kootask/internal/docpage"
)

// The page that shows the reports, and the folder of its pictures.
const (
	page     = "../docs/performance.md"
	pictures = "../docs/images"
)

// The defaults of kootask that the sizing rule assumes.
const (
	pollEvery = 15.0  // --poll-max, in seconds.
	beatEvery = 8.0   // --heartbeat, in seconds.
	staleFrom = 300.0 // --stale-after, in seconds.
	perSecond = 50.0  // --upstream-rps.
	manyTasks = 10e6
	// busy is the part of the CPU that polls and heartbeats may take. The rest is for changes, calls and KooDrive's failures.
	busy = .5
)

// show writes the tables of the page and the pictures from the reports, or fails if they differ.
func show(full, soaked report, write bool) error {
	err := errors.Join(
		docpage.Sync(page, "machine", full.about(), write),
		docpage.Sync(page, "bars", full.barTable(bars), write),
		docpage.Sync(page, "calls", full.callTable(), write),
		docpage.Sync(page, "watchers", full.watchTable(), write),
		docpage.Sync(page, "tasks", full.taskTable(), write),
		docpage.Sync(page, "sizing", full.sizingTable(), write),
		docpage.Sync(page, "soak", soaked.soakTable(), write),
	)
	for name, p := range full.plots() {
		path := filepath.Join(pictures, name+".svg")
		was, _ := os.ReadFile(path) // A picture that is not there is out of date.
		switch svg := p.svg(); {
		case string(was) == svg:
		case write:
			err = errors.Join(err, os.MkdirAll(pictures, 0o755), os.WriteFile(path, []byte(svg), 0o644))
		default:
			err = errors.Join(err, fmt.Errorf("%s is out of date: run make docs", path))
		}
	}
	return err
}

// about says what was measured where.
func (r report) about() string {
	failed := ""
	for _, f := range r.Failures {
		failed += "\n- " + f
	}
	if failed != "" {
		failed = "\n\nThese jobs failed:\n" + failed
	}
	return fmt.Sprintf("Measured on %s, at commit `%s`. Repetitions: %d.%s", r.Machine, r.Commit, len(r.Repetitions), failed)
}

// middle returns the median of a figure; NaN if it was not measured.
func (r report) middle(name string) float64 { return median(r.values(value(name))) }

// cell returns the median of a figure for a table; empty if it was not measured.
func (r report) cell(name string, divided float64) string {
	x := r.middle(name) / divided
	if math.IsNaN(x) {
		return ""
	}
	return grouped(round(x))
}

// round leaves three digits, or all of those before the point.
func round(x float64) float64 {
	if x == 0 {
		return 0
	}
	unit := math.Pow(10, min(0, math.Floor(math.Log10(math.Abs(x)))-2))
	return math.Round(x/unit) * unit
}

// callTable is about unary calls.
func (r report) callTable() string {
	rows := [][]string{{"program", "work", "CPU per call, µs", "calls per second", "p50, ms", "p99, ms"}}
	for _, row := range [][2]string{
		{"ECHO", "GetTask from a map, bare grpc-go"},
		{"memory", "**kootask**, GetTask from memory"},
		{"FACADE", "GetTask that asks KooDrive, grpc-go and http.Client"},
		{"through", "**kootask**, GetTask that asks KooDrive"},
		{"RP", "GET that asks KooDrive, httputil.ReverseProxy"},
		{"HAND", "REST GET from memory, net/http and protojson"},
		{"REST", "**kootask**, REST GET from memory"},
		{"gateway", "REST GET, grpc-gateway over a connection to ECHO"},
		{"Vanguard", "REST GET, Vanguard in process"},
	} {
		name := row[0]
		cells := []string{name, row[1]}
		for _, figure := range []string{"µs", "calls/s", "p50 ms", "p99 ms"} {
			cells = append(cells, r.cell(name+" "+figure, 1))
		}
		rows = append(rows, cells)
	}
	return docpage.Table(rows)
}

// watchTable is about watchers of one task.
func (r report) watchTable() string {
	rows := [][]string{{
		"program", "watchers", "time until the median watcher has the change, ms", "time until the last watcher has it, ms",
		"server CPU per notification, µs", "client CPU per notification, µs", "idle memory per watcher, KB",
	}}
	for _, row := range []struct {
		program, name string
		n             int
	}{
		{"PLAIN", "PLAIN", many},
		{"LOOP", "LOOP", many},
		{"etcd", "etcd", many},
		{"**kootask**", "kootask", many},
		{"**kootask**, streams in random order", "random", many},
		{"net/http, server-sent events", "net/http", connections},
		{"nchan, server-sent events", "nchan", connections},
		{"**kootask**, server-sent events", "SSE", connections},
	} {
		name := fmt.Sprint(row.name, " ", row.n)
		rows = append(rows, []string{
			row.program, grouped(float64(row.n)), r.cell(name+" p50 ms", 1), r.cell(name+" last ms", 1),
			r.cell(name+" µs", 1), r.cell(name+" client µs", 1), r.cell(name+" idle B", 1000),
		})
	}
	return docpage.Table(rows)
}

// taskCounts are the numbers of distinct tasks that are measured.
var taskCounts = []int{1000, 5000, 10000, tasks, maxTasks}

// taskTable is about distinct tasks.
func (r report) taskTable() string {
	rows := [][]string{{"tasks", "CPU per poll, µs", "memory per task, KB"}}
	for _, n := range taskCounts {
		name := fmt.Sprint("tasks ", n)
		rows = append(rows, []string{grouped(float64(n)), r.cell(name+" µs", 1), r.cell(name+" B", 1000)})
	}
	return docpage.Table(append(rows,
		[]string{"20,000, with `--upstream-rps` at 50 % of the polls", r.cell("ceiling µs", 1), r.cell("ceiling B", 1000)}))
}

// sizingTable is the arithmetic from a task to ten million.
func (r report) sizingTable() string {
	poll, beat, bytes := r.middle("tasks 20000 µs"), r.middle("heartbeat µs"), r.middle("tasks 20000 B")
	quiet := poll/pollEvery + beat/beatEvery
	carried := float64(r.Cores) * busy * 1e6 / quiet
	say := func(x float64, unit string) string {
		if math.IsNaN(x) {
			return "not measured"
		}
		return grouped(round(x)) + " " + unit
	}
	return docpage.Table([][]string{
		{"", "figure", "arithmetic"},
		{"CPU of one poll", say(poll, "µs"), "measured with 20,000 tasks"},
		{"CPU of one heartbeat", say(beat, "µs"), "measured with 50,000 idle watchers"},
		{"CPU of 50,000 idle watchers of one task", say(r.middle("idle CPU %"), "% of a core"), "with a heartbeat every 8 s"},
		{"CPU of a quiet task with one watcher", say(quiet, "µs per second"), "a poll every 15 s and a heartbeat every 8 s"},
		{
			"Quiet tasks on this machine, with 50 % of its CPU", grouped(math.Round(carried)),
			fmt.Sprintf("%d cores × 500,000 µs / %s", r.Cores, say(quiet, "µs")),
		},
		{
			"Memory of " + grouped(math.Round(carried)) + " quiet tasks", say(carried*bytes/(1<<30), "GiB"),
			say(bytes/1000, "KB for each, with one watcher"),
		},
		{
			"Memory of one more watcher of a watched task", say(r.middle("kootask 50000 idle B")/1000, "KB"),
			"over gRPC; " + say(r.middle("SSE 9000 idle B")/1000, "KB with server-sent events"),
		},
		{
			"Quiet tasks that the default `--upstream-rps` polls without delay", grouped(perSecond * pollEvery),
			fmt.Sprintf("%v per second × %v s", perSecond, pollEvery),
		},
		{
			"Maximum tasks at the default `--upstream-rps`. Above it, watches end with `UPSTREAM_STALE`",
			grouped(perSecond * staleFrom),
			fmt.Sprintf("%v per second × %v s (`--stale-after`)", perSecond, staleFrom),
		},
		{"CPU of one change for one watcher", say(r.middle("kootask 50000 µs"), "µs"), "measured with 50,000 watchers"},
		{
			"Machines like this one for 10,000,000 quiet tasks", grouped(math.Ceil(manyTasks / carried)),
			"10,000,000 / " + grouped(math.Round(carried)),
		},
		{"Memory of 10,000,000 quiet tasks", say(manyTasks*bytes/(1<<30), "GiB"), "10,000,000 × " + say(bytes/1000, "KB")},
		{"Requests to KooDrive for 10,000,000 quiet tasks", say(manyTasks/pollEvery, "per second"), "10,000,000 / 15 s"},
	})
}

// soakTable is about the long run.
func (r report) soakTable() string {
	if len(r.Repetitions) == 0 {
		return "Not measured yet."
	}
	failed := "nothing failed, and no watch ended"
	if len(r.Failures) > 0 {
		failed = fmt.Sprintf("failed: %q", r.Failures)
	}
	return fmt.Sprintf("Measured on %s, at commit `%s`; %s.\n\n%s", r.Machine, r.Commit, failed, r.figureTable())
}

// plots are the pictures, by the name of their file.
func (r report) plots() map[string]plot {
	watchers := []int{1000, 10000, 25000, many}
	by := func(counts []int, name, figure string, scale func(n float64) float64) line {
		l := line{name: name}
		for _, n := range counts {
			if y := r.middle(fmt.Sprint(name, " ", n, " ", figure)) * scale(float64(n)); !math.IsNaN(y) {
				l.points = append(l.points, point{float64(n), y})
			}
		}
		return l
	}
	each := func(float64) float64 { return 1 }
	mib := func(n float64) float64 { return n / (1 << 20) }
	all := func(figure string, scale func(n float64) float64) (lines []line) {
		for _, name := range []string{"kootask", "PLAIN", "LOOP", "etcd"} {
			lines = append(lines, by(watchers, name, figure, scale))
		}
		return lines
	}
	tasks := func(figure string, scale func(n float64) float64) []line {
		l := by(taskCounts, "tasks", figure, scale)
		l.name = "kootask"
		return []line{l}
	}
	return map[string]plot{
		"watchers-last":   {"From a change to the last watcher of one task", "watchers", "ms", all("last ms", each)},
		"watchers-cpu":    {"Server CPU of one notification", "watchers of one task", "µs", all("µs", each)},
		"watchers-memory": {"Memory of idle watchers", "watchers of one task", "MiB", all("idle B", mib)},
		"tasks-cpu":       {"CPU of one poll", "watched tasks", "µs", tasks("µs", each)},
		"tasks-memory":    {"Memory of watched tasks", "watched tasks", "MiB", tasks("B", mib)},
	}
}
