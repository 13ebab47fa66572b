package docpage_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kootask/kootask/internal/docpage"
)

func TestSync(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# Page\n\n<!-- generated: a -->\nold\n<!-- end -->\n\nby hand\n\n<!-- generated: b -->\n<!-- end -->\n")
	if err := docpage.Sync(page, "a", "new\n", false); err == nil || !strings.Contains(err.Error(), page) || !strings.Contains(err.Error(), "make docs") {
		t.Errorf("out of date: %v", err)
	}
	for _, write := range []bool{true, false} {
		if err := docpage.Sync(page, "a", "new\n", write); err != nil {
			t.Error(err)
		}
	}
	want := "# Page\n\n<!-- generated: a -->\n\nnew\n\n<!-- end -->\n\nby hand\n\n<!-- generated: b -->\n<!-- end -->\n"
	if got, err := os.ReadFile(page); err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	if err := docpage.Sync(page, "c", "", true); err == nil || !strings.Contains(err.Error(), "<!-- generated: c -->") {
		t.Errorf("a part that is not there: %v", err)
	}
}

func TestTable(t *testing.T) {
	want := "| name | text |\n| --- | --- |\n| `a` | x \\| y |\n"
	if got := docpage.Table([][]string{{"name", "text"}, {"`a`", "x |\n y"}}); got != want {
		t.Errorf("%q", got)
	}
}
