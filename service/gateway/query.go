package gateway

import (
	"net/url"
	"slices"
	"strings"

	"github.com/kootask/kootask/internal/ascii"
	"github.com/kootask/kootask/service/reason"
)

// parameter is a query parameter.
type parameter struct {
	name string
	form func(value string) bool
	want string // The form as an error text.
	// repeated allows several values.
	repeated bool
}

// Parameters of several routes, or with a meaning to the gateway itself.
var (
	failedTaskAsError = parameter{name: "failedTaskAsError", form: isBool, want: "Must be true or false."}
	// taskIDs are the tasks of a list. TaskService checks their form.
	taskIDs = parameter{name: "taskIds", form: func(string) bool { return true }, repeated: true}
	// ticket is the ticket of an event source, which cannot send headers. It is the only credential that a URL may have.
	ticket = parameter{
		name: "ticket", form: func(v string) bool { return ascii.Word(v, "_-") }, want: "Must be a ticket, unchanged.",
	}
	// lastID replaces Last-Event-ID for an event source that cannot send headers.
	lastID = parameter{
		name: "lastEventId", form: func(v string) bool { return v == "" || v == lastEventID },
		want: "Must be " + lastEventID + ", the only id that an event has.",
	}
)

// seconds returns a parameter whose value is a duration.
func seconds(name string) parameter {
	return parameter{name: name, form: isSeconds, want: "Must be a duration in seconds, like 2.5s."}
}

func isBool(text string) bool { return text == "true" || text == "false" }

// isSeconds reports whether a text is a number of seconds like 2.5s, with at most 9 digits before and after the point.
func isSeconds(text string) bool {
	number, ok := strings.CutSuffix(text, "s")
	whole, fraction, isFraction := strings.Cut(number, ".")
	digits := func(s string) bool { return s != "" && len(s) <= 9 && ascii.Digits(s) }
	return ok && digits(whole) && (!isFraction || digits(fraction))
}

// checkQuery refuses all parameters but the allowed ones, each in its form, and once unless it may be repeated. So a URL
// cannot carry a credential. It does not use url.URL.Query, which ignores parts that it cannot parse.
func checkQuery(raw string, allowed []parameter) *reason.Error {
	if raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return reason.Invalid(reason.QueryInvalid, "query", reason.Malformed, "The query must be percent-encoded.")
	}
	failure := &reason.Error{Outcome: reason.QueryInvalid}
	var unknown []string
	for name, values := range query {
		i := slices.IndexFunc(allowed, func(p parameter) bool { return p.name == name })
		violation := reason.Violation{Field: name}
		switch {
		case i < 0:
			unknown = append(unknown, name)
			continue
		case len(values) > 1 && !allowed[i].repeated:
			violation.Reason, violation.Description = reason.Repeated, "Send only one value."
		case slices.ContainsFunc(values, func(v string) bool { return !allowed[i].form(v) }):
			violation.Reason, violation.Description = reason.Malformed, allowed[i].want
		default:
			continue
		}
		failure.Violations = append(failure.Violations, violation)
	}
	if unknown != nil {
		failure.Violations = append(failure.Violations, reason.Violation{
			Field: "query", Reason: reason.UnknownParameter, Description: unknownParameter(slices.Min(unknown), allowed),
		})
	}
	if failure.Violations == nil {
		return nil
	}
	slices.SortFunc(failure.Violations, func(a, b reason.Violation) int { return strings.Compare(a.Field, b.Field) })
	return failure
}

// isParameterName reports whether a name may be repeated to the caller. Others may be credentials.
func isParameterName(name string) bool {
	return name != "" && len(name) <= 24 && name[0] >= 'a' && name[0] <= 'z' && ascii.Word(name, "_") &&
		!strings.ContainsAny(name, "0123456789")
}

// unknownParameter returns the error text for a parameter that is not allowed.
func unknownParameter(name string, allowed []parameter) string {
	var known []string
	for _, p := range allowed {
		known = append(known, p.name)
	}
	text := "Unknown parameter."
	if isParameterName(name) {
		text = "Unknown parameter " + name + "."
	}
	if json := jsonName(name); slices.Contains(known, json) {
		text += " It is called " + json + " here."
	}
	if len(known) == 0 {
		return text + " This route has no parameters. Send credentials as headers."
	}
	return text + " Known parameters: " + strings.Join(known, ", ") + ". Send credentials as headers."
}
