package doctor

import (
	"net/http"
	"slices"
	"strings"

	"github.com/kootask/kootask/dialect"
	"github.com/kootask/kootask/upstream"
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
		// A code that has a meaning already is taken for another one only if a single question got it.
		known := first.refusal.Meaning != upstream.Unmapped
		switch {
		case !oneCause || known && len(group) > 1:
			untold = append(untold, got+", and cannot be told apart.")
		case !r.confirmed(group[0].Number, group[len(group)-1].Number):
			untold = append(untold, got+", but no question was accepted before and after that.")
		case dialect.PlainCode(first.Code) != k.code || k == refusalKey{status: http.StatusOK}:
			untold = append(untold, got+", for which no row can be written.")
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
