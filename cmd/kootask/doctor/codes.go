package doctor

import (
	"net/http"
	"slices"
	"strings"

	"github.com/kootask/kootask/dialect"
)

// row is a row of codes that was found.
type row struct {
	dialect.Code
	based   string // What it is based on.
	answers []*Answer
}

// refusalKey is the part of a refusal that a row of codes can select.
type refusalKey struct {
	status int
	code   string // As [dialect.PlainCode] returns it.
}

// codes returns the rows that refusals justify, and for other refusals why they do not:
//  1. Refusals with the same status and code are a group.
//  2. A group with a question that differs gets a row if all its questions have the same cause.
//  3. A question must have been accepted before the group's first one, and another after its last.
func (r *Report) codes() (rows []row, untold []string) {
	order, groups := r.refusals()
	for _, k := range order {
		group := groups[k]
		i := slices.IndexFunc(group, func(a *Answer) bool { return a.Verdict == Differs && a.row != "" })
		if i < 0 {
			continue
		}
		first := group[i]
		got := named(group) + " got " + first.result()
		oneCause := !slices.ContainsFunc(group, func(a *Answer) bool { return a.cause != first.cause })
		switch {
		// A code with a documented meaning is taken for another one only if a single question got it.
		case !oneCause || len(group) > 1 && documented(r.dialect.Codes, k):
			untold = append(untold, got+", and cannot be told apart.")
		case !r.confirmed(group[0].Number, group[len(group)-1].Number):
			untold = append(untold, got+", but no question was accepted before and after that.")
		case dialect.PlainCode(first.Code) != k.code || k == refusalKey{status: http.StatusOK}:
			untold = append(untold, got+", for which no row can be written.")
		case k.code == "" && slices.Contains(signInStatuses, k.status):
			untold = append(untold, got+". KooDrive refuses credentials in this way, so no row is written.")
		default:
			c := dialect.Code{Code: k.code, Reason: first.row, Overlaid: true}
			elsewhere := func(other refusalKey) bool { return other.code == k.code && other.status != k.status }
			if k.code == "" || slices.ContainsFunc(order, elsewhere) {
				c.Status = k.status
			}
			rows = append(rows, row{c, got + ", for " + first.cause + " alone.", group})
		}
	}
	return rows, untold
}

// signInStatuses are those with which KooDrive refuses credentials without an error code. A row for one of them would give
// another reason to every such refusal.
var signInStatuses = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}

// documented reports whether KooDrive's documents, and no row of an overlay, give a reason to a refusal.
func documented(rows []dialect.Code, k refusalKey) bool {
	if k.status == http.StatusUnauthorized || k.status == http.StatusForbidden {
		return false
	}
	known := false
	for _, c := range rows {
		if c.Code == "" || c.Code != k.code || c.Status != 0 && c.Status != k.status {
			continue
		}
		if c.Overlaid {
			return false
		}
		known = true
	}
	return known
}

// adopt returns the rows with one that was found, and without those that would win over it: rows with the same code, for the
// status of its answers.
func (f row) adopt(rows []dialect.Code) []dialect.Code {
	status := f.answers[0].refusal.Status
	return append(slices.DeleteFunc(slices.Clone(rows), func(c dialect.Code) bool {
		return c.Code == f.Code.Code && (c.Status == f.Status || c.Status == status)
	}), f.Code)
}

// refusals returns the refused questions by what they got, in their order.
func (r *Report) refusals() (order []refusalKey, groups map[refusalKey][]*Answer) {
	groups = map[refusalKey][]*Answer{}
	for _, a := range r.Questions {
		if !a.refused() {
			continue
		}
		k := refusalKey{a.refusal.Status, dialect.PlainCode(a.refusal.Code)}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], a)
	}
	return order, groups
}

// confirmed reports whether questions were accepted before the number first and after last.
func (r *Report) confirmed(first, last int) bool {
	before, after := false, false
	for _, a := range r.Questions {
		before = before || a.accepted && a.Number < first
		after = after || a.accepted && a.Number > last
	}
	return before && after
}

// named returns "Question 2", or "Questions 2, 3 and 4".
func named(answers []*Answer) string {
	var all []string
	for _, a := range answers {
		all = append(all, a.number())
	}
	if last := len(all) - 1; last > 0 {
		return "Questions " + strings.Join(all[:last], ", ") + " and " + all[last]
	}
	return "Question " + all[0]
}
