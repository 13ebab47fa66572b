package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kootask/kootask/dialect"
	"github.com/kootask/kootask/upstream"
)

// Overlay returns the overlay that would make every question that differs the same, as far as a key of the dialect can do that.
// It repeats what the dialect in force changes. Comments say what a line is based on. documented is the dialect without an
// overlay.
func (r *Report) Overlay(documented dialect.Dialect) []byte {
	o := &overlay{report: r, based: map[dialect.Code]string{}}
	d := r.dialect
	found, untold := r.codes()
	for _, row := range found {
		d.Codes = row.adopt(d.Codes)
		o.based[row.Code] = row.based
	}
	o.comment("", "How "+r.KooDrive+" speaks, where that differs from KooDrive's documents. kootask doctor wrote this file for "+
		"--upstream-dialect.")
	o.section("token", token(d.Token, documented.Token))
	o.section("signature", signature(d.Signature, documented.Signature))
	o.headers(d.Headers)
	o.codes(d.Codes, untold)
	o.numbers("statuses", d.Statuses, r.statusSeen())
	o.numbers("task_types", d.TaskTypes, r.typeSeen())
	o.texts(d.ResultCodes)
	o.unexplained(found)
	return []byte(o.text.String())
}

// overlay is a document in the making.
type overlay struct {
	report *Report
	text   strings.Builder
	based  map[dialect.Code]string
}

// pair is a key with its value in YAML.
type pair struct{ key, value string }

func token(d, documented dialect.Token) (pairs []pair) {
	if d.Prefix != documented.Prefix {
		pairs = append(pairs, pair{"prefix", strconv.Quote(d.Prefix)})
	}
	if d.Date != documented.Date {
		pairs = append(pairs, pair{"date", strconv.FormatBool(d.Date)})
	}
	if d.UserIDRequired != documented.UserIDRequired {
		pairs = append(pairs, pair{"user_id", "required"})
	}
	return pairs
}

func signature(d, documented dialect.Signature) (pairs []pair) {
	for _, row := range []struct {
		now, before bool
		pair
	}{
		{d.WithoutHost, documented.WithoutHost, pair{"signed_headers", "x-date;x-user-id"}},
		{d.HostWithPort, documented.HostWithPort, pair{"host", "with_port"}},
		{d.TimeLine, documented.TimeLine, pair{"time_line", "true"}},
		{d.EmptyPayload, documented.EmptyPayload, pair{"empty_payload", "empty"}},
		{d.PathAsItIs, documented.PathAsItIs, pair{"path_slash", "false"}},
	} {
		if row.now != row.before {
			pairs = append(pairs, row.pair)
		}
	}
	return pairs
}

// line writes a line.
func (o *overlay) line(format string, values ...any) { fmt.Fprintf(&o.text, format+"\n", values...) }

// comment writes a comment in lines of at most Width columns.
func (o *overlay) comment(margin, text string) {
	var b strings.Builder
	lines(&b, margin+"# ", text)
	blank := strings.Repeat(" ", len(margin)+2)
	for line := range strings.Lines(b.String()) {
		if rest, wrapped := strings.CutPrefix(line, blank); wrapped {
			line = margin + "# " + rest
		}
		o.text.WriteString(line)
	}
}

// section writes a mapping of fixed keys.
func (o *overlay) section(name string, pairs []pair) {
	if len(pairs) == 0 {
		return
	}
	o.line("\n%s:", name)
	for _, p := range pairs {
		if note := o.report.notes[name+"."+p.key]; note != "" {
			o.comment("  ", note)
		} else {
			o.comment("  ", "As in the dialect in force.")
		}
		o.line("  %s: %s", p.key, p.value)
	}
}

func (o *overlay) headers(headers []dialect.Header) {
	if len(headers) == 0 {
		o.line("")
		o.comment("", "No question can find a header that KooDrive requires.")
		o.line("# headers: {X-Example: example}")
		return
	}
	o.line("\nheaders:")
	for _, h := range headers {
		o.line("  %s: %s", strconv.Quote(h.Name), strconv.Quote(h.Value))
	}
}

// codes writes the rows that are not documented, and comments on those that could not be written.
func (o *overlay) codes(rows []dialect.Code, untold []string) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(c dialect.Code) bool { return !c.Overlaid })
	if len(rows)+len(untold) > 0 {
		o.line("")
	}
	for _, text := range untold {
		o.comment("", text)
	}
	if len(rows) == 0 {
		return
	}
	o.line("codes:")
	for _, c := range rows {
		var fields []string
		if c.Status != 0 {
			fields = append(fields, "status: "+strconv.Itoa(c.Status))
		}
		if c.Code != "" {
			fields = append(fields, "code: "+strconv.Quote(c.Code))
		}
		o.comment("  ", cmp.Or(o.based[c], "As in the dialect in force."))
		o.line("  - {%s, reason: %s}", strings.Join(fields, ", "), c.Reason)
	}
}

// numbers writes a mapping of undocumented numbers, or what was seen.
func (o *overlay) numbers(name string, names map[int32]string, seen string) {
	if len(names) == 0 {
		o.line("\n%s", seen)
		return
	}
	o.line("\n%s:", name)
	for _, n := range slices.Sorted(maps.Keys(names)) {
		o.line("  %d: %s", n, names[n])
	}
}

// texts writes the result codes of the dialect in force, or the one that was seen.
func (o *overlay) texts(texts map[string]dialect.Text) {
	if len(texts) > 0 {
		o.line("\nresult_codes:")
		for _, code := range slices.Sorted(maps.Keys(texts)) {
			o.line("  %q: {en-US: %q, zh-CN: %q}", code, texts[code].English, texts[code].Chinese)
		}
		return
	}
	if t := o.report.task; t != nil && t.result != "" {
		o.line("\n# The task has result code %s.\n# result_codes: {%q: {en-US: …, zh-CN: …}}", t.result, t.result)
	} else {
		o.line("\n# The task has no result code.\n# result_codes: {}")
	}
}

// statusSeen returns a comment with the status of the task.
func (r *Report) statusSeen() string {
	if r.task == nil {
		return "# No task was seen.\n# statuses: {}"
	}
	if n := r.task.status; n < upstream.StatusNew || n > upstream.StatusFailed {
		return fmt.Sprintf("# The task has status %d: NEW, EXECUTING, SUCCESS or FAILED?\n# statuses: {%d: …}", n, n)
	}
	return fmt.Sprintf("# The task has status %d, which is documented.\n# statuses: {}", r.task.status)
}

// typeSeen returns a comment with the type of the task.
func (r *Report) typeSeen() string {
	switch t := r.task; {
	case t == nil || t.kind == nil:
		return "# No type of a task was seen.\n# task_types: {}"
	case *t.kind < upstream.TypeTransferAndDeletion || *t.kind > upstream.TypeBatchImport:
		return fmt.Sprintf("# The task has type %d: TRANSFER_AND_DELETION or BATCH_IMPORT?\n"+
			"# task_types: {%d: …}", *t.kind, *t.kind)
	default:
		return fmt.Sprintf("# The task has type %d, which is documented.\n# task_types: {}", *t.kind)
	}
}

// unexplained comments on the differences that no line of the document removes.
func (o *overlay) unexplained(rows []row) {
	for _, a := range o.report.Questions {
		explained := a.Verdict != Differs || a.row != "" && a.refused() ||
			slices.ContainsFunc(rows, func(r row) bool { return slices.Contains(r.answers, a) }) ||
			a.cause == formCause || a.accepted && len(o.report.notes) > 0 ||
			a.Name == "no user" && o.report.notes["token.user_id"] != ""
		if !explained {
			o.line("")
			o.comment("", "Nothing in this file changes question "+a.number()+", "+a.Asked+": it got "+a.result()+".")
		}
	}
}
