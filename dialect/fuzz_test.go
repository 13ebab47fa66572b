package dialect

import (
	"regexp"
	"strings"
	"testing"
)

// problem matches a line of an error: a place, a key unless the document itself is wrong, and one line of printable ASCII.
var problem = regexp.MustCompile(`^(\d+: |it has more than )[ -~…]*$`)

// Any text is either a dialect or gets an error of readable lines. Reading it again gives the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(Document())
	for _, seed := range []string{
		"token: {prefix: \"Bearer+\"}", "statuses: {4: FAILED}", "a: &x [*x]", "<<: {token: {}}", "? [a]\n: b", "token: !!binary aGk=", "--- >\n x\n...\n",
		"codes:\n  - {status: 409, code: \"1\", reason: TASK_NOT_FOUND}", "headers: {X-A: b}", "result_codes: {\"1\": {en-US: a, zh-CN: b}}", "\xff: 1", "---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, overlay []byte) {
		d, err := Parse(overlay, reasons)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !problem.MatchString(line) {
					t.Errorf("%q", line)
				}
			}
			return
		}
		again, err := Parse(overlay, reasons)
		if err != nil || d.Digest() != again.Digest() {
			t.Errorf("%v, %v and then %v", err, d, again)
		}
	})
}
