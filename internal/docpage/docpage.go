// Package docpage keeps the tables of the documentation equal to the code that generates them. A page has generated
// parts between two comments, <!-- generated: NAME --> and <!-- end -->; the rest is written by hand.
//
//	err := docpage.Sync("docs/errors.md", "reasons", table, write)
package docpage

import (
	"fmt"
	"os"
	"strings"
)

// Sync compares the part of a page with content. If they differ, it replaces the part if write is set, and otherwise
// fails with the command that does.
func Sync(page, name, content string, write bool) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	was, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no part between %q and %q: add both lines", page, begin, end)
	}
	content = "\n" + strings.TrimSpace(content) + "\n\n"
	if was == content {
		return nil
	}
	if write {
		return os.WriteFile(page, []byte(before+begin+content+end+after), 0o644)
	}
	return fmt.Errorf("%s: the part %q is out of date: run make docs", page, name)
}

// Table returns a Markdown table. The first row is its head.
func Table(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		cells := make([]string, len(row))
		for j, cell := range row {
			cells[j] = strings.ReplaceAll(strings.Join(strings.Fields(cell), " "), "|", `\|`)
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat(" --- |", len(row)) + "\n")
		}
	}
	return b.String()
}
