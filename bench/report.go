package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/kootask/kootask/internal/docpage"
)

// Where the reports of full runs are.
const (
	reportFile = "results/report.json"
	soakFile   = "results/soak.json"
)

// report is the result of a run.
type report struct {
	Machine     string    `json:"machine"`
	Cores       int       `json:"cores"`
	Commit      string    `json:"commit"`
	Failures    []string  `json:"failures"`
	Repetitions []figures `json:"repetitions"`
}

// readReport reads a report.
func readReport(path string) (r report, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// write writes a report.
func (r report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, append(text, '\n'), 0o644))
}

// file returns where the report of a run belongs; empty if it is only printed, because it is not that of a full run.
func (o options) file() string {
	switch {
	case o.scale != 1 || o.short || o.only != "":
		return ""
	case o.soak > 0:
		return soakFile
	}
	return reportFile
}

// finish prints the report, and fails if a job failed. A bar that is missed is not an error, except in a short run.
func (r report) finish(o options, chosen []bar) (err error) {
	table := r.barTable(chosen)
	if o.soak > 0 {
		table = r.figureTable()
	} else if o.file() == "" && !o.short {
		table += "\n" + r.figureTable()
	}
	_, _ = fmt.Fprintf(os.Stdout, "%s, numbers times %v\n\n%s", r.Machine, o.scale, table)
	for _, b := range chosen {
		if o.short && !r.judge(b).must {
			err = errors.Join(err, fmt.Errorf("bar %d is missed", b.number))
		}
	}
	if len(r.Failures) > 0 {
		err = errors.Join(err, fmt.Errorf("%d jobs failed: %q", len(r.Failures), r.Failures))
	}
	return err
}

// values returns a figure of each repetition that has it.
func (r report) values(figure func(figures) float64) (all []float64) {
	for _, f := range r.Repetitions {
		if x := figure(f); !math.IsNaN(x) && !math.IsInf(x, 0) {
			all = append(all, x)
		}
	}
	return all
}

// median returns the middle of some numbers; NaN for an empty list.
func median(numbers []float64) float64 {
	if len(numbers) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(numbers))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// verdict is a report's judgement of a bar.
type verdict struct {
	values    []float64
	must, aim bool
}

// judge judges a bar by its median, or by each repetition if it counts. A bar that was not measured is missed.
func (r report) judge(b bar) verdict {
	v := verdict{values: r.values(b.figure)}
	judged := []float64{median(v.values)}
	if b.count && len(v.values) > 0 {
		judged = v.values
	}
	missed := func(l limit) bool {
		return slices.ContainsFunc(judged, func(x float64) bool { return !l.met(x) })
	}
	v.must, v.aim = !b.must.set || !missed(b.must), !b.aim.set || !missed(b.aim)
	return v
}

// barTable is a table of bars.
func (r report) barTable(chosen []bar) string {
	rows := [][]string{{"#", "bar", "median", "range", "n", "must", "", "aim", ""}}
	for _, b := range chosen {
		v := r.judge(b)
		median, span := "not measured", ""
		if len(v.values) > 0 {
			median, span = spell(v.values, b.unit, b.digits(v))
		}
		rows = append(rows, []string{
			itoa(b.number), b.text, median, span, itoa(len(v.values)),
			b.must.text(b.unit), mark(b.must, v.must), b.aim.text(b.unit), mark(b.aim, v.aim),
		})
	}
	return docpage.Table(rows)
}

// digits returns the number of digits that tell a bar's median from a limit that it misses.
func (b bar) digits(v verdict) int {
	const usual, most = 3, 9
	digits, middle := usual, median(v.values)
	for _, limit := range []struct {
		limit
		met bool
	}{{b.must, v.must}, {b.aim, v.aim}} {
		for _, bound := range []float64{limit.least, limit.most} {
			for !limit.met && digits < most && rounded(middle, digits) == rounded(bound, digits) {
				digits++
			}
		}
	}
	return digits
}

// spell returns the median of some values and their range.
func spell(values []float64, unit string, digits int) (middle, span string) {
	text := func(x float64) string { return rounded(x, digits) }
	return text(median(values)) + unit, text(slices.Min(values)) + " to " + text(slices.Max(values))
}

// mark says whether a limit is met.
func mark(l limit, met bool) string {
	switch {
	case !l.set:
		return ""
	case met:
		return "met"
	}
	return "**missed**"
}

// figureTable is a table of all figures, with their ranges if there are several repetitions.
func (r report) figureTable() string {
	names := map[string]bool{}
	for _, f := range r.Repetitions {
		for name := range f {
			names[name] = true
		}
	}
	rows := [][]string{{"figure", "median", "range"}}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		middle, span := spell(r.values(value(name)), "", 3)
		rows = append(rows, []string{name, middle, span})
	}
	if len(r.Repetitions) == 1 {
		rows[0][1] = ""
		for i := range rows {
			rows[i] = rows[i][:2]
		}
	}
	return docpage.Table(rows)
}
