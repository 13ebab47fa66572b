package main

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	for _, row := range []struct {
		limit     limit
		text      string
		good, bad []float64
	}{
		{atMost(1.6), "≤ 1.6 ×", []float64{0, 1.6}, []float64{1.61, math.NaN()}},
		{atLeast(.65), "≥ 0.65 ×", []float64{.65, 9}, []float64{.64, math.NaN()}},
		{exactly(0), "0 ×", []float64{0}, []float64{1, -1}},
		{one(), "0.8 to 1.2 ×", []float64{.8, 1.2}, []float64{.7, 1.3}},
	} {
		if got := row.limit.text(times); got != row.text {
			t.Errorf("%q instead of %q", got, row.text)
		}
		for _, x := range row.good {
			if !row.limit.met(x) {
				t.Errorf("%s is not met by %v", row.text, x)
			}
		}
		for _, x := range row.bad {
			if row.limit.met(x) {
				t.Errorf("%s is met by %v", row.text, x)
			}
		}
	}
}

// A ratio is one of figures of the same repetition, its median counts, and each repetition of a count.
func TestJudge(t *testing.T) {
	r := report{Repetitions: []figures{{"a": 1, "b": 1}, {"a": 30, "b": 10}, {"a": 2, "b": 1}, {"b": 1}, {"a": 1, "b": 0}}}
	b := bar{figure: ratio("a", "b"), must: atMost(2), aim: atMost(1.9)}
	if v := r.judge(b); !slices.Equal(v.values, []float64{1, 3, 2}) || !v.must || v.aim {
		t.Errorf("%+v", v)
	}
	b.count = true
	if v := r.judge(b); v.must || v.aim {
		t.Errorf("one repetition missed it: %+v", v)
	}
	b.figure = value("c")
	if v := r.judge(b); v.must || v.aim {
		t.Errorf("it was not measured: %+v", v)
	}
	b.must, b.aim = limit{}, limit{}
	if v := r.judge(b); !v.must || !v.aim {
		t.Errorf("it asks for nothing: %+v", v)
	}
}

// A median that misses a limit by little has as many digits as show it.
func TestMissesAreVisible(t *testing.T) {
	for x, want := range map[float64]string{1.9999: "2 ×", 2: "2 ×", 2.0048: "2.005 ×", 2.00001: "2.00001 ×", 2.5: "2.5 ×"} {
		table := report{Repetitions: []figures{{"a": x}}}.barTable([]bar{{figure: value("a"), unit: times, must: atMost(2)}})
		if !strings.Contains(table, "| "+want+" | ") {
			t.Errorf("%v is not shown as %s in\n%s", x, want, table)
		}
	}
}

// Every bar can be measured: its jobs exist, and some bar needs each job that is not for the plots.
func TestBarsHaveJobs(t *testing.T) {
	used := map[string]bool{}
	for _, b := range bars {
		if len(needed([]bar{b})) != len(b.jobs) || len(b.jobs) == 0 {
			t.Errorf("bar %d names an unknown job in %q: add it to jobs in main.go", b.number, b.jobs)
		}
		for _, name := range b.jobs {
			used[name] = true
		}
	}
	for _, j := range jobs {
		if !j.once && !used[j.name] {
			t.Errorf("no bar needs the job %s: remove it, or name it in bars.go", j.name)
		}
	}
}

// The programs that are compared are built from the same versions of the modules that they share.
func TestModulesAreTheServers(t *testing.T) {
	required := regexp.MustCompile(`(?m)^(?:go|\t(\S+)) (v?[0-9]\S*)`)
	versions := func(path string) map[string]string {
		text, err := os.ReadFile(filepath.FromSlash(path))
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, m := range required.FindAllStringSubmatch(string(text), -1) {
			all[m[1]] = m[2]
		}
		return all
	}
	here, shared := versions("go.mod"), 0
	for name, version := range versions("../go.mod") {
		if here[name] == "" || strings.Contains(name, "kootask") {
			continue
		}
		if shared++; here[name] != version {
			t.Errorf("bench/go.mod has %s %s, and go.mod has %s: require the same", name, here[name], version)
		}
	}
	if shared < 5 {
		t.Errorf("%d shared modules found", shared)
	}
}
