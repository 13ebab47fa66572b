package gateway

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/kootask/kootask/service/reason"
)

// parameter is one that a query may have.
type parameter struct {
	form *regexp.Regexp
	want string // The form, in a sentence for people.
}

var parameters = map[string]parameter{
	"maxAge":            {regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?s$`), "Must be a duration in seconds, like 2.5s."},
	"failedTaskAsError": {regexp.MustCompile(`^(true|false)$`), "Must be true or false."},
	ticketParameter:     {regexp.MustCompile(`^[A-Za-z0-9_-]*$`), "Not a valid ticket."},
	lastIDParameter:     {regexp.MustCompile(`^(` + lastEventID + `)?$`), "Must be " + lastEventID + ", the only id that an event has."},
}

const (
	// ticketParameter has the ticket of an event source, which cannot send headers. No other credential travels in a URL.
	ticketParameter = "ticket"
	// lastIDParameter is Last-Event-ID from an event source that cannot send headers.
	lastIDParameter = "lastEventId"
)

// checkQuery refuses everything but the allowed parameters, once each and in their form. It follows that no credential can
// travel in a URL. url.URL.Query would skip what cannot be parsed.
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

// parameterForm is the form of a name that may be repeated to its sender. Another one may be a credential.
var parameterForm = regexp.MustCompile(`^[a-z][A-Za-z_]{0,23}$`)

// unknownParameter is a text for people about a parameter that is not among the allowed ones.
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
