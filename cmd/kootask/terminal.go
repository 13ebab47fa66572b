package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// colourFlags choose colours.
type colourFlags struct {
	Color string `enum:"auto,always,never" default:"auto" help:"Colours: auto (on a terminal, unless NO_COLOR is set), always or never."`
}

// colours reports whether to print colours.
func (f colourFlags) colours(out *checkedWriter) bool {
	switch f.Color {
	case "always":
		return true
	case "never":
		return false
	default:
		_, _, ok := terminalSize(out)
		return ok && os.Getenv("NO_COLOR") == ""
	}
}

// terminalSize returns the size of a terminal that can move its cursor. ok is false for anything else.
func terminalSize(out *checkedWriter) (width, height int, ok bool) {
	file, isFile := out.to.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(file.Fd()))
	return width, height, err == nil
}

// colour is a parameter of the terminal's sequence for colours.
type colour int

const (
	plain  colour = 0
	dim    colour = 2
	red    colour = 31
	green  colour = 32
	yellow colour = 33
	blue   colour = 34
	cyan   colour = 36
)

func colourOf(task *taskv1.Task) colour {
	switch task.GetStatus() {
	case taskv1.TaskStatus_TASK_STATUS_NEW:
		return blue
	case taskv1.TaskStatus_TASK_STATUS_EXECUTING:
		return cyan
	case taskv1.TaskStatus_TASK_STATUS_SUCCESS:
		return green
	case taskv1.TaskStatus_TASK_STATUS_FAILED:
		return red
	default:
		return yellow
	}
}

func colourOfEnd(code int) colour {
	switch code {
	case exitOK:
		return green
	case exitInterrupted:
		return yellow
	default:
		return red
	}
}

// coloured is a line of text without control characters, in pieces of one colour.
type coloured []piece

type piece struct {
	colour colour
	text   string
}

func in(c colour, text string) piece { return piece{c, printable(text)} }

// cells counts columns of a terminal. The characters that only old East Asian terminals show in two columns count as one:
// no text of words.yaml has one.
var cells = &runewidth.Condition{}

func (l coloured) width() (n int) {
	for _, p := range l {
		n += cells.StringWidth(p.text)
	}
	return n
}

// pad returns the line with at least this width.
func (l coloured) pad(width int) coloured {
	return append(l, piece{text: strings.Repeat(" ", max(0, width-l.width()))})
}

const dots = "..."

// cut returns the line in at most this width.
func (l coloured) cut(width int) coloured {
	if l.width() <= width {
		return l
	}
	left := width - len(dots)
	var short coloured
	for _, p := range l {
		p.text = cells.Truncate(p.text, max(0, left), "")
		left -= cells.StringWidth(p.text)
		short = append(short, p)
	}
	return append(short, piece{text: dots[:min(len(dots), max(0, width))]})
}

// add returns the line with another piece at its end.
func (l coloured) add(p piece) coloured {
	if last := len(l) - 1; last >= 0 && l[last].colour == p.colour {
		l[last].text += p.text
		return l
	}
	return append(l, p)
}

// fold returns the line on as many lines of this width as it takes. It breaks at spaces where it can.
func (l coloured) fold(width int) []coloured {
	const indent = "  "
	var all []coloured
	rest, room := coloured{}, width
	for _, p := range l {
		for _, word := range strings.SplitAfter(p.text, " ") {
			if cells.StringWidth(strings.TrimRight(word, " ")) > room && len(rest) > 0 && room < width-len(indent) {
				all, rest, room = append(all, rest), coloured{piece{text: indent}}, width-len(indent)
			}
			for cells.StringWidth(strings.TrimRight(word, " ")) > room && room > 1 { // Longer than a line, or without spaces.
				part := cells.Truncate(word, room, "")
				all = append(all, rest.add(piece{p.colour, part}))
				word, rest, room = word[len(part):], coloured{piece{text: indent}}, width-len(indent)
			}
			rest, room = rest.add(piece{p.colour, word}), room-cells.StringWidth(word)
		}
	}
	return append(all, rest)
}

// render returns the text, with colours if wanted.
func (l coloured) render(colours bool) string {
	var b strings.Builder
	for _, p := range l {
		if colours && p.colour != plain && p.text != "" {
			_, _ = fmt.Fprintf(&b, "\x1b[%dm%s\x1b[0m", p.colour, p.text)
		} else {
			b.WriteString(p.text)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// painter paints lines on a terminal over the lines that it painted before. The cursor rests below them, where the terminal
// echoes ^C.
type painter struct {
	out     io.Writer
	colours bool
	painted []coloured
	last    string // What was written last.
}

// paint replaces the lines of the last call: by lines that stay, and below them by lines that the next call replaces. The
// latter must fit the size of the terminal.
func (p *painter) paint(stay, live []coloured, width int) {
	var b strings.Builder
	for _, l := range append(stay[:len(stay):len(stay)], live...) {
		b.WriteString("\x1b[2K" + l.render(p.colours) + "\n")
	}
	b.WriteString("\x1b[J")
	text, rows, up := b.String(), p.rows(width), "\r"
	if len(stay) == 0 && text == p.last && rows == len(p.painted) {
		return
	}
	if rows > 0 {
		up = fmt.Sprintf("\r\x1b[%dA", rows)
	}
	_, _ = io.WriteString(p.out, up+text)
	p.painted, p.last = live, text
}

// rows returns the number of rows that the painted lines take by now: a terminal that has become narrower wraps them.
func (p *painter) rows(width int) (n int) {
	for _, l := range p.painted {
		n += max(1, (cells.StringWidth(l.render(false))+width-1)/width)
	}
	return n
}
