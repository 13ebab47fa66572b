package gateway

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/kootask/kootask/service/reason"
)

// parameter is one that a query may have.
type parameter struct {
	field string // Of the request message.
	form  *regexp.Regexp
}

var parameters = map[string]parameter{
	"maxAge":            {"max_age", regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?s$`)},
	"failedTaskAsError": {"failed_task_as_error", regexp.MustCompile(`^(true|false)$`)},
}

// watchParameters are those that a watch may have.
var watchParameters = []string{"failedTaskAsError"}

var grpcTimeout = regexp.MustCompile(`^[0-9]{1,8}[HMSmun]$`)

// checked wraps the handler of a task route: what is wrong with a request, and what the generated code or the way to the
// gRPC server would pass over or answer in words of their own, is refused before either sees it.
func (g *gateway) checked(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if id, isTask := params["task_id"]; isTask {
			if failure := g.check(r, id); failure != nil {
				g.refuse(w, r, failure)
				return
			}
		}
		next(w, r, params)
	}
}

func (g *gateway) check(r *http.Request, taskID string) *reason.Error {
	if r.ContentLength != 0 {
		return reason.Invalid(reason.RequestMalformed, "body", reason.Unsupported, "A GET has no body.")
	}
	if _, err := g.callers.Read(r.Header.Values); err != nil {
		return reason.Of(err)
	}
	if timeout := r.Header.Values("Grpc-Timeout"); len(timeout) > 1 {
		return reason.Invalid(reason.HeaderInvalid, "grpc-timeout", reason.Repeated, "Send it once.")
	} else if len(timeout) == 1 && !grpcTimeout.MatchString(timeout[0]) {
		return reason.Invalid(reason.HeaderInvalid, "grpc-timeout", reason.Malformed, "It is no gRPC timeout, like 5S.")
	}
	if !utf8.ValidString(taskID) {
		return reason.Invalid(reason.TaskIDInvalid, "task_id", reason.Malformed, "It is not UTF-8.")
	}
	allowed := slices.Collect(maps.Keys(parameters))
	if strings.HasSuffix(r.URL.EscapedPath(), ":watch") {
		allowed = watchParameters
	}
	return checkQuery(r.URL.RawQuery, allowed)
}

// checkQuery refuses whatever is not one of the allowed parameters, once and in its form. That no credential can travel
// in a URL follows from it. url.URL.Query would pass over what cannot be parsed.
func checkQuery(raw string, allowed []string) *reason.Error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return reason.Invalid(reason.QueryInvalid, "query", reason.Malformed, "It is not well encoded.")
	}
	failure := &reason.Error{Outcome: reason.QueryInvalid}
	unknown := false
	for name, values := range query {
		p := parameters[name]
		violation := reason.Violation{Field: p.field}
		switch {
		case !slices.Contains(allowed, name):
			if unknown {
				continue
			}
			unknown = true
			violation = reason.Violation{
				Field: "query", Reason: reason.UnknownParameter,
				Description: "It has a parameter that this path does not know. Credentials travel in headers.",
			}
		case len(values) > 1:
			violation.Reason, violation.Description = reason.Repeated, "Send it once."
		case !p.form.MatchString(values[0]):
			violation.Reason, violation.Description = reason.Malformed, "Its form is that of 2.5s, or true or false."
		default:
			continue
		}
		failure.Violations = append(failure.Violations, violation)
	}
	if failure.Violations == nil {
		return nil
	}
	slices.SortFunc(failure.Violations, func(a, b reason.Violation) int { return strings.Compare(a.Field, b.Field) })
	return failure
}

var errNoFinalTask = errors.New("the stream ended well without a finished task")
