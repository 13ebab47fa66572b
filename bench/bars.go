package main

import (
	"fmt"
	"math"
	"strconv"
)

// limit is the range of allowed figures.
type limit struct {
	least, most float64
	set         bool
}

func atMost(most float64) limit   { return limit{least: math.Inf(-1), most: most, set: true} }
func atLeast(least float64) limit { return limit{least: least, most: math.Inf(1), set: true} }
func exactly(n float64) limit     { return limit{least: n, most: n, set: true} }

// one is the limit of a mean that is near 1.
func one() limit { return limit{least: .8, most: 1.2, set: true} }

func (l limit) met(x float64) bool { return x >= l.least && x <= l.most }

// text returns the limit with a unit.
func (l limit) text(unit string) string {
	switch {
	case !l.set:
		return ""
	case l.least == l.most:
		return short(l.least) + unit
	case math.IsInf(l.least, -1):
		return "≤ " + short(l.most) + unit
	case math.IsInf(l.most, 1):
		return "≥ " + short(l.least) + unit
	}
	return short(l.least) + " to " + short(l.most) + unit
}

// short returns a number with three digits.
func short(x float64) string { return rounded(x, 3) }

// rounded returns a number with some digits, at least three.
func rounded(x float64, digits int) string {
	if math.Abs(x) >= 100 {
		return strconv.FormatFloat(x, 'f', digits-3, 64)
	}
	return strconv.FormatFloat(x, 'g', digits, 64)
}

// bar is a goal for one figure of kootask's speed.
type bar struct {
	number int
	text   string
	// figure computes the bar's figure from those of one repetition. The bar is judged by the median.
	figure func(f figures) float64
	unit   string
	// must is the required range, and aim the desired one. The zero value asks for nothing.
	must, aim limit
	// count marks a figure that does not depend on the machine's speed. Each repetition has to meet it.
	count bool
	// jobs are those that the figure comes from.
	jobs []string
}

// name is the text that -only is matched with.
func (b bar) name() string { return fmt.Sprint(b.number, " ", b.text, " ", b.jobs) }

// ratio is the figure of a bar that compares two figures.
func ratio(of, against string) func(figures) float64 {
	return func(f figures) float64 { return f.get(of) / f.get(against) }
}

// value is the figure of a bar that is a figure itself.
func value(of string) func(figures) float64 {
	return func(f figures) float64 { return f.get(of) }
}

// scaled is a figure divided by a number.
func scaled(of string, by float64) func(figures) float64 {
	return func(f figures) float64 { return f.get(of) / by }
}

// times is the unit of ratios.
const times = " ×"

// bars are all of them. A new one is a row here, and perhaps a job.
var bars = []bar{
	{1, "GetTask of a finished task from memory, CPU against ECHO", ratio("memory µs", "ECHO µs"), times, atMost(1.6), atMost(1.4), false, []string{"memory"}},
	{1, "GetTask of a finished task from memory, calls per second against ECHO", ratio("memory calls/s", "ECHO calls/s"), times, atLeast(.65), atLeast(.75), false, []string{"memory"}},
	{2, "GetTask that asks KooDrive, CPU against FACADE", ratio("through µs", "FACADE µs"), times, atMost(1.5), atMost(1.2), false, []string{"through"}},
	{2, "GetTask that asks KooDrive, CPU against RP", ratio("through µs", "RP µs"), times, atMost(2), atMost(1.6), false, []string{"through"}},
	{3, "GetTask with a KooDrive that takes 20 ms, 64 calls in flight of 16 callers, p50 against direct requests", ratio("slow 64 p50 ms", "direct 64 p50 ms"), times, atMost(1.1), limit{}, false, []string{"latency"}},
	{3, "GetTask with a KooDrive that takes 20 ms, 64 calls in flight of 16 callers, p99 against direct requests", ratio("slow 64 p99 ms", "direct 64 p99 ms"), times, atMost(1.5), limit{}, false, []string{"latency"}},
	{3, "GetTask with a KooDrive that takes 20 ms, 256 calls in flight of 16 callers, calls per second against RP", ratio("slow 256 calls/s", "RP 256 calls/s"), times, atLeast(.8), atLeast(1), false, []string{"latency"}},
	{4, "Requests to KooDrive for 1,000 concurrent GetTask of one running task", value("requests of 1,000 calls"), "", exactly(1), exactly(1), true, []string{"joined"}},
	{4, "1,000 concurrent GetTask of one running task, CPU of a joined call against ECHO", ratio("joined µs", "ECHO 1000 µs"), times, limit{}, atMost(1.5), false, []string{"joined"}},
	{5, "Polls per interval of a task with 1 watcher", value("watched by 1 polls/s"), "", atMost(1.25), one(), true, []string{"idle"}},
	{5, "Polls per interval of a task with 50,000 watchers", value("idle polls/s"), "", atMost(1.25), one(), true, []string{"idle"}},
	{5, "Polls after the last watcher has left", value("polls after leaving"), "", exactly(0), exactly(0), true, []string{"idle"}},
	{6, "50,000 watchers of one task, time from the change until the last watcher has it, against LOOP", ratio("kootask 50000 last ms", "LOOP 50000 last ms"), times, atMost(2.5), atMost(1.5), false, []string{"watch"}},
	{6, "50,000 watchers of one task, time from the change until the last watcher has it, against etcd", ratio("kootask 50000 last ms", "etcd 50000 last ms"), times, atMost(.3), atMost(.2), false, []string{"watch"}},
	{6, "50,000 watchers of one task, server CPU per notification against PLAIN", ratio("kootask 50000 µs", "PLAIN 50000 µs"), times, atMost(.5), atMost(.3), false, []string{"watch"}},
	{6, "50,000 watchers of one task, server CPU per notification against LOOP", ratio("kootask 50000 µs", "LOOP 50000 µs"), times, atMost(2.5), atMost(1.5), false, []string{"watch"}},
	{6, "50,000 watchers of one task, clients' CPU against LOOP's clients", ratio("kootask 50000 client µs", "LOOP 50000 client µs"), times, atMost(1.5), atMost(1.5), false, []string{"watch"}},
	{6, "50,000 watchers of one task, time from the change until the last watcher has it, streams opened in random order against grouped", ratio("random 50000 last ms", "kootask 50000 last ms"), times, atMost(1.3), atMost(1.15), false, []string{"watch"}},
	{6, "50,000 watchers of one task, missed notifications", value("kootask 50000 missed"), "", exactly(0), exactly(0), true, []string{"watch"}},
	{7, "50,000 idle watchers, memory against PLAIN", ratio("kootask 50000 idle B", "PLAIN 50000 idle B"), times, atMost(1.15), atMost(1), false, []string{"watch"}},
	{7, "50,000 idle watchers, memory after changes, without a garbage collection, against PLAIN", ratio("kootask 50000 changed B", "PLAIN 50000 changed B"), times, atMost(1.15), atMost(1), false, []string{"watch"}},
	{7, "50,000 watchers, memory after all have left, against PLAIN's remaining memory", ratio("kootask 50000 left B", "PLAIN 50000 left B"), times, atMost(1.2), atMost(1.2), false, []string{"watch"}},
	{7, "9,000 watchers with server-sent events, memory against net/http", ratio("SSE 9000 idle B", "net/http 9000 idle B"), times, atMost(1.25), atMost(1.05), false, []string{"events"}},
	{7, "9,000 watchers with server-sent events, memory against nchan", ratio("SSE 9000 idle B", "nchan 9000 idle B"), times, atMost(3), limit{}, false, []string{"events"}},
	{8, "1 of 101 connections never reads, changes of 8 KiB, time from the change until the last of the others has it, against 100 connections that read", ratio("stalled last ms", "healthy last ms"), times, atMost(1.3), atMost(1.3), false, []string{"stalled"}},
	{8, "1 of 101 connections never reads, missed notifications of the others", value("stalled missed"), "", exactly(0), exactly(0), true, []string{"stalled"}},
	{8, "1 of 101 connections never reads, memory after 200 changes against after 40", value("stalled growth"), times, atMost(1.1), atMost(1.1), false, []string{"stalled"}},
	{9, "9,000 watchers with server-sent events, time from the change until the last watcher has it, against nchan", ratio("SSE 9000 last ms", "nchan 9000 last ms"), times, atMost(1), atMost(.8), false, []string{"events"}},
	{9, "9,000 watchers with server-sent events, server CPU against nchan", ratio("SSE 9000 µs", "nchan 9000 µs"), times, atMost(1.3), atMost(1), false, []string{"events"}},
	{9, "9,000 watchers with server-sent events, missed notifications", value("SSE 9000 missed"), "", exactly(0), exactly(0), true, []string{"events"}},
	{10, "REST GET of a task in memory, CPU against HAND", ratio("REST µs", "HAND µs"), times, atMost(2.5), atMost(2), false, []string{"rest"}},
	{10, "REST GET of a task in memory, CPU against grpc-gateway over a connection", ratio("REST µs", "gateway µs"), times, atMost(.5), atMost(.4), false, []string{"rest"}},
	{10, "REST GET of a task in memory, CPU against Vanguard", ratio("REST µs", "Vanguard µs"), times, atMost(.9), atMost(.7), false, []string{"rest"}},
	{11, "20,000 watched tasks of 20 callers, CPU per poll (without heartbeats) against FACADE's call", ratio("tasks 20000 µs", "FACADE µs"), times, atMost(1.5), atMost(1.2), false, []string{"through", "idle", "distinct"}},
	{11, "20,000 watched tasks of 20 callers, CPU per poll with `--upstream-rps` at 50 % of the polls, against a limit above all polls", ratio("ceiling µs", "tasks 20000 µs"), times, atMost(1.2), atMost(1.1), false, []string{"idle", "distinct", "ceiling"}},
	{11, "20,000 watched tasks of 20 callers, memory per task", scaled("tasks 20000 B", 1000), " KB", atMost(20), atMost(12), false, []string{"distinct"}},
	{11, "20,000 watched tasks of 20 callers, longest interval between polls at `--upstream-rps`, against the even interval", value("longest gap / fair"), times, atMost(1.3), atMost(1.15), false, []string{"ceiling"}},
	{12, "2,000 tasks of 1 caller opened at once at 200/s, time until every task has its first answer, against 2,000 / 200 s", value("last first answer / fair, callers: 1"), times, atMost(1.3), atMost(1.1), false, []string{"first"}},
	{12, "2,000 tasks of 20 callers at one address opened at once at 200/s, time until every task has its first answer, against 2,000 / 200 s", value("last first answer / fair, callers: 20"), times, atMost(1.3), atMost(1.1), false, []string{"first"}},
	{13, "100,000 watched tasks at 5,000 polls/s, CPU per poll against 20,000 tasks", ratio("tasks 100000 µs", "tasks 20000 µs"), times, atMost(1.2), atMost(1.1), false, []string{"idle", "distinct", "full"}},
	{14, "5,000 watched tasks on 50 streams of 100, memory against 5,000 streams", ratio("lists B", "streams B"), times, atMost(.25), limit{}, false, []string{"lists"}},
	{14, "5,000 watched tasks on 50 streams of 100, CPU while KooDrive is not asked, against 5,000 streams", ratio("quiet lists CPU s", "quiet streams CPU s"), times, atMost(.6), limit{}, false, []string{"lists"}},
}
