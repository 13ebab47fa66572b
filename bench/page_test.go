package main

import (
	"errors"
	"flag"
	"io/fs"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables and the pictures of docs/performance.md")

// docs/performance.md shows the committed reports. make docs writes its tables and pictures.
func TestPage(t *testing.T) {
	full, err := readReport(reportFile)
	if err != nil {
		t.Fatal(err)
	}
	soaked, err := readReport(soakFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := show(full, soaked, *update); err != nil {
		t.Error(err)
	}
}

func TestNumbers(t *testing.T) {
	for _, row := range []struct {
		x    float64
		want string
	}{{0, "0"}, {999, "999"}, {1000, "1,000"}, {1234567, "1,234,567"}, {round(1.23456), "1.23"}, {round(12345.6), "12,346"}, {round(.0123456), "0.0123"}} {
		if got := grouped(row.x); got != row.want {
			t.Errorf("%v is %q instead of %q", row.x, got, row.want)
		}
	}
	for most, want := range map[float64]float64{0: 1, 1: .2, 7: 2, 50000: 10000, 100000: 20000, 99: 20} {
		if got := step(most); got != want {
			t.Errorf("the step up to %v is %v instead of %v", most, got, want)
		}
	}
}

func TestPlot(t *testing.T) {
	p := plot{"title", "x", "y", []line{{"one", []point{{0, 0}, {10, 100}}}, {"two", []point{{5, 50}}}}}
	svg := p.svg()
	for _, want := range []string{"<title>title</title>", "M70.0 345.0L590.0 40.0", `cx="330.0" cy="192.5"`, ">one</text>", ">100</text>", "</svg>\n"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%q is not in %s", want, svg)
		}
	}
}
