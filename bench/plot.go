package main

import (
	"fmt"
	"math"
	"strings"
)

// point is one of a line.
type point struct{ x, y float64 }

// line is one of a plot.
type line struct {
	name   string
	points []point
}

// plot is a picture of lines, with both axes from 0.
type plot struct {
	title, x, y string // The title, and the names of the axes.
	lines       []line
}

// The size of a plot, and the part of it that the axes enclose.
const (
	width, height            = 720, 400
	left, right, top, bottom = 70.0, 590.0, 40.0, 345.0
	ticks                    = 5
)

// colours are told apart by people who see red and green alike.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

// svg draws the plot.
func (p plot) svg() string {
	var most point
	for _, l := range p.lines {
		for _, q := range l.points {
			most.x, most.y = max(most.x, q.x), max(most.y, q.y)
		}
	}
	stepX, stepY := step(most.x), step(most.y)
	endX, endY := math.Ceil(most.x/stepX)*stepX, math.Ceil(most.y/stepY)*stepY
	at := func(q point) (x, y float64) { return left + q.x/endX*(right-left), bottom - q.y/endY*(bottom-top) }

	var b strings.Builder
	text := func(x, y float64, anchor, content string) {
		fmt.Fprintf(&b, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, content)
	}
	const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" role="img">`
	fmt.Fprintf(&b, head+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", p.title, width, height)
	text(left, top-16, "start", p.title)
	for i := range int(math.Round(endX/stepX)) + 1 {
		x := float64(i) * stepX
		px, _ := at(point{x, 0})
		fmt.Fprintf(&b, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#ddd\"/>\n", px, top, bottom)
		text(px, bottom+18, "middle", grouped(x))
	}
	for i := range int(math.Round(endY/stepY)) + 1 {
		y := float64(i) * stepY
		_, py := at(point{0, y})
		fmt.Fprintf(&b, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#ddd\"/>\n", left, py, right)
		text(left-8, py+4, "end", grouped(y))
	}
	text((left+right)/2, bottom+42, "middle", p.x)
	fmt.Fprintf(&b, "<text transform=\"translate(18 %.0f) rotate(-90)\" text-anchor=\"middle\">%s</text>\n", (top+bottom)/2, p.y)
	for i, l := range p.lines {
		colour := colours[i%len(colours)]
		var path, dots strings.Builder
		for j, q := range l.points {
			x, y := at(q)
			fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[j == 0], x, y)
			fmt.Fprintf(&dots, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x, y, colour)
		}
		fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n%s", &path, colour, &dots)
		legend := top + 20*float64(i)
		fmt.Fprintf(&b, "<path d=\"M%.0f %.0fh20\" stroke=\"%s\" stroke-width=\"2\"/>\n", right+14, legend, colour)
		text(right+40, legend+4, "start", l.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// step returns a round distance for about as many ticks up to a number: 1, 2 or 5 times a power of ten.
func step(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most/ticks)))
	for _, f := range []float64{1, 2, 5} {
		if most/(f*power) <= ticks {
			return f * power
		}
	}
	return 10 * power
}

// grouped returns a number with commas between its thousands.
func grouped(x float64) string {
	if x != math.Trunc(x) || math.IsInf(x, 0) {
		return short(x)
	}
	digits := fmt.Sprintf("%.0f", x)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
