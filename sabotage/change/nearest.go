package change

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// nearest returns the part of text that becomes pattern with the fewest edits, and their number. An edit inserts,
// deletes or replaces one element. The part may begin and end anywhere. Among equal parts it returns the first whose
// length is closest to the pattern's.
func nearest[T comparable](text, pattern []T) (part span, edits int) {
	// Sellers' algorithm: an edit distance that does not count the text before and after the part. Cell i is for the
	// first i elements of pattern and the parts of text that end here.
	type cell struct{ edits, start int }
	column := make([]cell, len(pattern)+1)
	for i := range column {
		column[i].edits = i
	}
	edits = len(pattern)
	for end, element := range text {
		diagonal := column[0]
		column[0].start = end + 1
		for i := range pattern {
			best := diagonal
			if element != pattern[i] {
				best.edits++
			}
			for _, other := range []cell{column[i], column[i+1]} {
				if other.edits+1 < best.edits {
					best = cell{other.edits + 1, other.start}
				}
			}
			diagonal, column[i+1] = column[i+1], best
		}
		last := column[len(pattern)]
		found := span{last.start, end + 1}
		if last.edits < edits || last.edits == edits && found.differs(len(pattern)) < part.differs(len(pattern)) {
			part, edits = found, last.edits
		}
	}
	return part, edits
}

// differs returns the difference between the length of a span and length.
func (s span) differs(length int) int { return max(s.end-s.start-length, length-s.end+s.start) }

// nearestDecl returns the end of the error about a declaration that does not exist: the most similar one in the module.
// Another package counts as 3 edits of the name. It is empty if there is no declaration.
func (s *source) nearestDecl(folder, name string) string {
	const perEdit, otherPackage = 2, 6
	var best decl
	least := 0
	_ = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if base := entry.Name(); base != "." && strings.HasPrefix(base, ".") || base == "node_modules" || base == "testdata" {
			return filepath.SkipDir
		}
		p, err := s.load(filepath.ToSlash(path))
		if err != nil {
			return nil //nolint:nilerr // Most folders have no Go files.
		}
		for _, other := range slices.Sorted(maps.Keys(p.decls)) {
			_, edits := nearest([]rune(other), []rune(name))
			cost := perEdit*edits + span{0, len(other)}.differs(len(name))
			if filepath.ToSlash(path) != folder {
				cost += otherPackage
			}
			if best.name == "" || cost < least {
				best, least = p.decls[other], cost
			}
		}
		return nil
	})
	if best.name == "" {
		return ""
	}
	return fmt.Sprintf("; the nearest declaration is %s, at %s", best.name, best.at(best.start))
}

// elsewhere returns the end of the error about a change that does not apply: the other declaration of the package that
// contains the quoted text, to which it may have moved. It is empty unless there is exactly one.
func (s *source) elsewhere(c Change) string {
	folder, _ := split(c.In)
	p, err := s.load(folder)
	if err != nil {
		return ""
	}
	var found []string
	for _, d := range p.decls {
		if places := d.all(lexemes([]byte(c.From))); d.name != c.In && len(places) == 1 {
			found = append(found, fmt.Sprintf("; %s contains the text, at %s", d.name, d.at(places[0].start)))
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}
