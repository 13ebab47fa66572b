package doctor

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/kootask/kootask/dialect"
	"github.com/kootask/kootask/upstream"
)

// other is a form that is tried if KooDrive refuses that of the dialect in force. It deviates from that in one key.
type other struct {
	key  string // The key of the dialect; empty: none.
	asks string
	// change deviates from the dialect.
	change func(*dialect.Dialect)
	// unless returns why it would not be another form; empty if it is. Nil: it always is.
	unless func(*session) string
}

// maxOthers is the number of other forms of a signature that are tried.
const maxOthers = 5

// question returns the question whether KooDrive accepts the form.
func (o other) question() question {
	expected := aRefusal
	if o.key == "" {
		expected = theTask
	}
	return question{
		name: o.name(), asks: "the task, with " + o.asks, expects: []string{expected},
		change: func(f *form) { o.change(&f.dialect) },
		unless: func(s *session) string {
			switch {
			case s.found:
				return "An earlier form was accepted."
			case s.signedIn != nil && (s.signedIn.Number > 1 || o.signsIn()):
				return "Question " + s.signedIn.number() + " was refused for another reason than the credential."
			}
			return ""
		},
	}
}

// signsIn reports whether the form signs in otherwise than the first question. Another date does not.
func (o other) signsIn() bool { return o.key != "" && o.key != "token.date" }

func (o other) name() string {
	if o.key == "" {
		return "redated"
	}
	return o.key
}

// others returns the forms to try after the first question, the most likely first.
func (s *session) others(first *Answer) []other {
	all := s.tokens(first)
	if s.App != nil {
		all = s.signatures(first)
	}
	var left []other
	for _, o := range all {
		if o.unless == nil || o.unless(s) == "" {
			left = append(left, o)
		}
	}
	return left[:min(len(left), maxOthers)]
}

// redated repeats the form, with the date of KooDrive's clock. The first answer has that date.
var redated = other{asks: "X-Date by KooDrive's clock", change: func(*dialect.Dialect) {}}

// tokens returns other forms of a token. A refusal that is not about the credential points to a missing header.
func (s *session) tokens(first *Answer) []other {
	var all []other
	if first.misdated {
		all = append(all, redated)
	}
	date := other{key: "token.date", asks: "date: true", change: func(d *dialect.Dialect) { d.Token.Date = true }}
	dates := first.refusal != nil && !s.Dialect.Token.Date // Otherwise the question "date" reports it.
	if dates && first.Came != credentialRejected {
		all = append(all, date)
	}
	for _, prefix := range []string{"Bearer ", "Bearer+", ""} {
		if prefix != s.Dialect.Token.Prefix && !strings.HasPrefix(s.Token.Reveal(), "AT ") {
			all = append(all, other{
				key: "token.prefix", asks: "prefix: " + strconv.Quote(prefix),
				change: func(d *dialect.Dialect) { d.Token.Prefix = prefix },
			})
		}
	}
	if dates && first.Came == credentialRejected {
		all = append(all, date)
	}
	return all
}

// signatures returns other forms of a signature: the same for KooDrive's clock if this one is to blame, and those that deviate
// in a key. A KooDrive that wants a signed port would also accept a signature without the host, so that comes later.
func (s *session) signatures(first *Answer) []other {
	var all []other
	if first.misdated {
		all = append(all, redated)
	}
	now := s.Dialect.Signature
	return append(all,
		other{
			"signature.host", "host: " + opposite(now.HostWithPort, "with_port", "as_sent"),
			func(d *dialect.Dialect) { d.Signature.HostWithPort = !now.HostWithPort }, hostIsFixed,
		},
		other{
			"signature.signed_headers",
			"signed_headers: " + opposite(now.WithoutHost, "x-date;x-user-id", "host;x-date;x-user-id"),
			func(d *dialect.Dialect) { d.Signature.WithoutHost, d.Signature.HostWithPort = !now.WithoutHost, false }, nil,
		},
		other{
			"signature.time_line", "time_line: " + opposite(now.TimeLine, "true", "false"),
			func(d *dialect.Dialect) { d.Signature.TimeLine = !now.TimeLine }, nil,
		},
		other{
			"signature.empty_payload", "empty_payload: " + opposite(now.EmptyPayload, "empty", "sha256"),
			func(d *dialect.Dialect) { d.Signature.EmptyPayload = !now.EmptyPayload }, nil,
		},
		other{
			"signature.path_slash", "path_slash: " + opposite(now.PathAsItIs, "false", "true"),
			func(d *dialect.Dialect) { d.Signature.PathAsItIs = !now.PathAsItIs }, nil,
		},
	)
}

// opposite returns the text for the value that a key does not have now.
func opposite(now bool, ifSet, ifNot string) string {
	if now {
		return ifNot
	}
	return ifSet
}

// hostIsFixed returns why the signed host does not depend on the dialect.
func hostIsFixed(s *session) string {
	if s.Dialect.Signature.WithoutHost {
		return "The host is not signed."
	}
	if u, err := url.Parse(s.Upstream.BaseURL); err == nil && u.Port() != "" && u.Port() != defaultPort(s.Upstream) {
		return "The address has a port."
	}
	return ""
}

// defaultPort returns the port of an address without one.
func defaultPort(config upstream.Config) string {
	if strings.HasPrefix(strings.ToLower(config.BaseURL), "https:") {
		return "443"
	}
	return "80"
}

// giveUp ends an examination without an accepted question. The credential is refused, for which why is the text, only if no
// refusal has another reason.
func (s *session) giveUp(why string) {
	if s.signedIn != nil {
		why = "KooDrive refused question " + s.signedIn.number() + " for another reason than the credential. " +
			"A header may be missing, or the credential may not see the task."
	} else {
		s.report.Result = Refused
	}
	if s.UserID == "" {
		why += " KooDrive may require X-User-Id: set --user-id."
	}
	s.stop(why)
}

// adopt makes an accepted form that of the following questions, and of the dialect to write.
func (s *session) adopt(o other, first, accepted *Answer) {
	s.found = true
	o.change(&s.form.dialect)
	o.change(&s.report.dialect)
	first.cause = formCause
	if o.key == "" {
		first.Verdict, first.Why = Same, "kootask repeats such a request, dated by KooDrive's clock."
	} else {
		s.report.notes[o.key] = "Question " + accepted.number() + ", with " + o.asks + ", was accepted. Question 1 got " +
			first.result() + "."
	}
}

// formCause is the cause of a refusal that another form of the credential does not get.
const formCause = "the form of the credential"
