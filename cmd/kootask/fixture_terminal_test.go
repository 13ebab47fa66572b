package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// terminal is what a terminal of a size shows of the output. It knows only the sequences that the live view uses, and keeps
// any other text as it is. When it becomes narrower it wraps its lines, as most terminals do.
type terminal struct {
	mu            sync.Mutex // Guards the fields below.
	width, height int
	scrolled      []string // Rows above the screen, as they were when they left it.
	rows          []tRow
	rest          string // The beginning of a character or a sequence whose end will be written next.
	row, column   int    // Of the cursor. At the column width, the next character wraps.
	colour        string
}

// tRow is a row of the screen. It continues in the next one if it was wrapped.
type tRow struct {
	cells   []tCell
	wrapped bool
}

// tCell is a column. The second column of a wide character has no text.
type tCell struct{ text, colour string }

func newTerminal(width, height int) *terminal {
	return &terminal{width: width, height: height, rows: make([]tRow, 1)}
}

func (t *terminal) size() (width, height int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.width, t.height, true
}

var (
	sequence = regexp.MustCompile(`^\x1b\[(\d*)([A-Za-z])`)
	begun    = regexp.MustCompile(`^\x1b(\[\d*)?$`) // The beginning of a sequence.
)

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.rest + string(p)
	for text != "" && utf8.FullRuneInString(text) && !begun.MatchString(text) {
		if m := sequence.FindStringSubmatch(text); m != nil {
			t.obey(m[1], m[2])
			text = text[len(m[0]):]
			continue
		}
		r := []rune(text)[0]
		switch text = text[len(string(r)):]; r {
		case '\r':
			t.column = 0
		case '\n':
			t.down()
		default:
			t.put(string(r), cells.RuneWidth(r))
		}
	}
	t.rest = text
	return len(p), nil
}

func (t *terminal) obey(parameter, command string) {
	switch command + parameter {
	case "K2":
		t.rows[t.row] = tRow{}
	case "J":
		t.rows = t.rows[:t.row+1]
		t.rows[t.row].cells = t.rows[t.row].cells[:min(t.column, len(t.rows[t.row].cells))]
	case "m" + parameter:
		t.colour = strings.TrimPrefix(parameter, "0")
	case "A" + parameter:
		n, _ := strconv.Atoi(parameter)
		t.row = max(0, t.row-n)
	default:
		t.put("<unknown sequence "+parameter+command+">", 1)
	}
}

// down moves the cursor to the beginning of the next row, and scrolls if there is none.
func (t *terminal) down() {
	t.column = 0
	if t.row++; t.row == len(t.rows) {
		t.rows = append(t.rows, tRow{})
	}
	t.scroll()
}

func (t *terminal) scroll() {
	for len(t.rows) > t.height {
		t.scrolled = append(t.scrolled, t.rows[0].String())
		t.rows, t.row = t.rows[1:], t.row-1
	}
}

func (t *terminal) put(text string, width int) {
	if t.column+width > t.width {
		t.rows[t.row].wrapped = true
		t.down()
	}
	row := &t.rows[t.row]
	for len(row.cells) < t.column+width {
		row.cells = append(row.cells, tCell{text: " "})
	}
	row.cells[t.column] = tCell{text, t.colour}
	for i := 1; i < width; i++ {
		row.cells[t.column+i] = tCell{"", t.colour}
	}
	t.column += width
}

// resize gives the terminal another size. The cursor is at the beginning of a row.
func (t *terminal) resize(width, height int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, cursor := t.rows, t.row
	t.width, t.height, t.rows, t.column, t.colour = width, height, make([]tRow, 1), 0, ""
	t.row = 0
	cursorAt := -1
	for i, row := range old {
		if i == cursor {
			cursorAt = t.row
		}
		for _, c := range row.cells {
			t.colour = c.colour
			if c.text != "" {
				t.put(c.text, cells.StringWidth(c.text))
			}
		}
		if !row.wrapped && i < len(old)-1 {
			t.down()
		}
	}
	t.row, t.column = cursorAt, 0
}

// String returns the rows with markers where the colour changes, such as {32}.
func (r tRow) String() string {
	var b strings.Builder
	colour := ""
	for _, c := range r.cells {
		if c.colour != colour && c.text != "" {
			_, _ = fmt.Fprintf(&b, "{%s}", c.colour)
			colour = c.colour
		}
		b.WriteString(c.text)
	}
	if colour != "" {
		b.WriteString("{}")
	}
	text := strings.TrimRight(b.String(), " ")
	if r.wrapped {
		text += "<wrapped>"
	}
	return text
}

// String returns everything that was shown: the rows that have left the screen, a line, the screen, and another line.
func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, row := range t.scrolled {
		b.WriteString(row + "\n")
	}
	edge := strings.Repeat("-", t.width) + "\n"
	b.WriteString(edge)
	for i, row := range t.rows {
		if i < len(t.rows)-1 || len(row.cells) > 0 {
			b.WriteString(row.String() + "\n")
		}
	}
	return b.String() + edge
}
