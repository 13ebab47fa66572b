package gateway

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/kootask/kootask/service/reason"
)

// parameter describes a query parameter.
type parameter struct {
	form *regexp.Regexp
	want string // The form as an error text.
}

var parameters = map[string]parameter{
	"maxAge":            {regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?s$`), "Must be a duration in seconds, like 2.5s."},
	"failedTaskAsError": {regexp.MustCompile(`^(true|false)$`), "Must be true or false."},
	ticketParameter:     {regexp.MustCompile(`^[A-Za-z0-9_-]*$`), "Not a valid ticket."},
	lastIDParameter: {
		regexp.MustCompile(`^(` + lastEventID + `)?$`), "Must be " + lastEventID + ", the only id that an event has.",
	},
}

const (
	// ticketParameter is the ticket of an event source, which cannot send headers. It is the only credential that a URL
	// may have.
	ticketParameter = "ticket"
	// lastIDParameter replaces Last-Event-ID for an event source that cannot send headers.
	lastIDParameter = "lastEventId"
)

// checkQuery refuses all parameters but the allowed ones, once each and in their form. So a URL cannot carry a
// credential. It does not use url.URL.Query, which ignores what it cannot parse.
func checkQuery(raw string, allowed []string) *reason.Error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return reason.Invalid(reason.QueryInvalid, "query", reason.Malformed, "The query is not correctly encoded.")
	}
	failure := &reason.Error{Outcome: reason.QueryInvalid}
	var unknown []string
	for name, values := range query {
		p := parameters[name]
		violation := reason.Violation{Field: name}
		switch {
		case !slices.Contains(allowed, name):
			unknown = append(unknown, name)
			continue
		case len(values) > 1:
			violation.Reason, violation.Description = reason.Repeated, "Send only one value."
		case !p.form.MatchString(values[0]):
			violation.Reason, violation.Description = reason.Malformed, p.want
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

// parameterForm matches names that may be repeated to the caller. Others may be credentials.
var parameterForm = regexp.MustCompile(`^[a-z][A-Za-z_]{0,23}$`)

// unknownParameter returns the error text for a parameter that is not allowed.
func unknownParameter(name string, allowed []string) string {
	text := "Unknown parameter."
	if parameterForm.MatchString(name) {
		text = "Unknown parameter " + name + "."
	}
	if json := jsonName(name); slices.Contains(allowed, json) {
		text += " It is called " + json + " here."
	}
	if len(allowed) == 0 {
		return text + " This route has no parameters. Send credentials as headers."
	}
	return text + " Known parameters: " + strings.Join(allowed, ", ") + ". Send credentials as headers."
}
