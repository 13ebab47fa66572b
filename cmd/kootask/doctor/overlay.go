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
	status, kind, result := r.seen()
	o.unlisted("statuses", entries(d.Statuses), status)
	o.unlisted("task_types", entries(d.TaskTypes), kind)
	o.unlisted("result_codes", texts(d.ResultCodes), result)
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

// seen is what an examination saw for a key of the dialect that no question can find.
type seen struct {
	text  string // What was seen.
	entry pair   // What it would be in the mapping, without a meaning. Empty: it has a documented one, or nothing was seen.
}

// unlisted writes a mapping that no question can find. What was seen stands beside it as a comment, unless the mapping has it.
func (o *overlay) unlisted(name string, entries []pair, s seen) {
	o.line("")
	missing := s.entry.key != "" && !slices.ContainsFunc(entries, func(p pair) bool { return p.key == s.entry.key })
	if len(entries) == 0 {
		o.line("# %s", s.text)
		if missing {
			o.line("# %s: {%s: %s}", name, s.entry.key, s.entry.value)
		} else {
			o.line("# %s: {}", name)
		}
		return
	}
	o.line("%s:", name)
	for _, p := range entries {
		o.line("  %s: %s", p.key, p.value)
	}
	if missing {
		o.line("  # %s\n  # %s: %s", s.text, s.entry.key, s.entry.value)
	}
}

// entries returns the entries of a mapping of numbers.
func entries(names map[int32]string) (pairs []pair) {
	for _, n := range slices.Sorted(maps.Keys(names)) {
		pairs = append(pairs, pair{strconv.Itoa(int(n)), names[n]})
	}
	return pairs
}

// texts returns the entries of result codes.
func texts(codes map[string]dialect.Text) (pairs []pair) {
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		text := codes[code]
		pairs = append(pairs, pair{strconv.Quote(code), fmt.Sprintf("{en-US: %q, zh-CN: %q}", text.English, text.Chinese)})
	}
	return pairs
}

// seen returns what was seen of the task.
func (r *Report) seen() (status, kind, result seen) {
	status.text, kind.text, result.text = "No task was seen.", "No type of a task was seen.", "The task has no result code."
	if r.task == nil {
		return status, kind, result
	}
	status = number("status", r.task.status, upstream.StatusFailed, "NEW, EXECUTING, SUCCESS or FAILED?")
	if t := r.task.kind; t != nil {
		kind = number("type", *t, upstream.TypeBatchImport, "TRANSFER_AND_DELETION or BATCH_IMPORT?")
	}
	if code := r.task.result; code != "" {
		result = seen{"The task has result code " + code + ".", pair{strconv.Quote(code), "{en-US: …, zh-CN: …}"}}
	}
	return status, kind, result
}

// number returns what was seen as a number of the task, of which 0 to last are documented.
func number(noun string, n, last int32, choices string) seen {
	text := fmt.Sprintf("The task has %s %d", noun, n)
	if n >= 0 && n <= last {
		return seen{text: text + ", which is documented."}
	}
	return seen{text + ": " + choices, pair{strconv.Itoa(int(n)), "…"}}
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
