package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kootask/kootask/dialect"
	"github.com/kootask/kootask/upstream"
)

// Result is the result of an examination.
type Result string

// Results, of which the first that applies counts.
const (
	Unreachable Result = "unreachable" // KooDrive cannot be reached, or another server answers.
	Refused     Result = "refused"     // The credential is refused in every form that was asked.
	Differing   Result = "differs"     // An answer differs from the dialect in force.
	AsExpected  Result = "same"
)

// Report is what KooDrive answered. As JSON it contains no credential and nothing that describes a task or its people.
type Report struct {
	KooDrive  string    `json:"koodrive"`
	Result    Result    `json:"result"`
	Steps     []Step    `json:"steps"`
	Questions []*Answer `json:"questions"`
	// Stopped is why not all questions were asked. Empty: they were.
	Stopped string `json:"stopped,omitempty"`
	// Limits are the numbers in KooDrive's headers about the rate of requests, by the header.
	Limits map[string]string `json:"limits,omitempty"`

	dialect dialect.Dialect   // The dialect in force, with what was found.
	notes   map[string]string // What was found for a key of the dialect.
	task    *sighting         // Of the last answer with the task.
	clock   *Step
}

// sighting are the undocumented parts of a task's description.
type sighting struct {
	status int32
	kind   *int32
	result string
}

// maxAhead is the largest difference of the clocks that kootask corrects in a signature.
const maxAhead = 14 * time.Minute

// limitHeaders are the headers about the rate of requests that are reported.
var limitHeaders = []string{
	"Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset", "Retry-After", "X-Apig-Ratelimit-Api", "X-Apig-Ratelimit-App",
	"X-Apig-Ratelimit-User", "X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset",
}

var digitsForm = regexp.MustCompile(`[0-9]+`)

// digits returns the numbers of at most 10 digits in a text: longer ones may be ids.
func digits(text string) string {
	short := slices.DeleteFunc(digitsForm.FindAllString(text, -1), func(n string) bool { return len(n) > 10 })
	return strings.Join(short[:min(len(short), 5)], " ")
}

// observe notes what the header of an answer says about KooDrive.
func (r *Report) observe(e upstream.Exchange, safe func(string) string) {
	for _, name := range limitHeaders {
		if value := safe(digits(e.Header.Get(name))); value != "" {
			if r.Limits == nil {
				r.Limits = map[string]string{}
			}
			r.Limits[name] = value
		}
	}
	if !e.Dated || r.clock != nil {
		return
	}
	r.clock = &Step{Name: "clock", Verdict: Same}
	switch seconds := e.Ahead.Abs().Seconds(); {
	case e.Ahead > 0:
		r.clock.Came = fmt.Sprintf("KooDrive's is %.0f s ahead", seconds)
	case e.Ahead < 0:
		r.clock.Came = fmt.Sprintf("KooDrive's is %.0f s behind", seconds)
	default:
		r.clock.Came = "the same as KooDrive's, to a second"
	}
	if e.Ahead.Abs() > maxAhead {
		r.clock.Verdict = Differs
		r.clock.Notes = []string{"kootask corrects at most 14 min. Set this machine's clock."}
	}
}

// last returns the last question.
func (r *Report) last() *Answer { return r.Questions[len(r.Questions)-1] }

// conclude sets the result.
func (r *Report) conclude() {
	if r.clock != nil {
		r.Steps = append(r.Steps, *r.clock)
	} else {
		r.Steps = append(r.Steps, Step{Name: "clock", Verdict: NotAsked, Came: "no answer had a Date"})
	}
	if r.Result != "" {
		return
	}
	r.Result = AsExpected
	answer := func(a *Answer) bool { return a.Verdict == Differs }
	step := func(s Step) bool { return s.Verdict == Differs }
	if slices.ContainsFunc(r.Questions, answer) || slices.ContainsFunc(r.Steps, step) {
		r.Result = Differing
	}
}

// Accepted reports whether KooDrive has accepted a question.
func (r *Report) Accepted() bool {
	return slices.ContainsFunc(r.Questions, func(a *Answer) bool { return a.accepted })
}

// Knows reports whether the report knows enough of KooDrive for an overlay: it accepted a question, or did not refuse the
// credential.
func (r *Report) Knows() bool {
	return r.Accepted() || r.Result != Unreachable && r.Result != Refused
}

// JSON returns the report as one line.
func (r *Report) JSON() ([]byte, error) { return json.Marshal(r) }

// Width is the maximum number of columns of printed reports.
const Width = 80

// conclusions are the last lines of a printed report.
var conclusions = map[Result]string{
	AsExpected:  "Everything that was asked is as the dialect in force says.",
	Differing:   "KooDrive differs from the dialect in force.",
	Refused:     "The credential is refused in every form that was asked.",
	Unreachable: "KooDrive cannot be reached.",
}

// Print prints the report for people.
func (r *Report) Print(w io.Writer) {
	lines(w, "", "KooDrive at "+r.KooDrive)
	_, _ = fmt.Fprintln(w)
	PrintSteps(w, r.Steps)
	for _, name := range limitHeaders {
		if value := r.Limits[name]; value != "" {
			lines(w, indent, name+": "+value)
		}
	}
	_, _ = fmt.Fprintln(w)
	for _, a := range r.Questions {
		if a.Number == 0 {
			entry(w, a.Verdict, a.Asked, a.Why)
			continue
		}
		notes := []string{"came: " + a.details(), "expected: " + a.Expected, a.Why}
		if a.Shape != "" {
			notes = slices.Insert(notes, 1, a.Shape)
		}
		entry(w, a.Verdict, a.number()+". "+a.Asked, notes...)
	}
	_, _ = fmt.Fprintln(w)
	if r.Stopped != "" {
		lines(w, "", "Stopped: "+r.Stopped)
	}
	lines(w, "", conclusions[r.Result])
}

var indent = strings.Repeat(" ", len(NotAsked)+2)

// entry prints a verdict with what it is about, and notes below that.
func entry(w io.Writer, v Verdict, about string, notes ...string) {
	lines(w, fmt.Sprintf("%-*s", len(indent), v), about)
	for _, note := range notes {
		if note != "" {
			lines(w, indent, note)
		}
	}
}

// lines prints a text in lines of at most Width columns. The first one begins with start, and the others with as many spaces.
func lines(w io.Writer, start, text string) {
	width := Width - len(start)
	line := ""
	flush := func() {
		_, _ = fmt.Fprintln(w, strings.TrimRight(start+line, " "))
		start, line = strings.Repeat(" ", len(start)), ""
	}
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			flush()
		}
		if line != "" {
			line += " "
		}
		line += word
		for utf8.RuneCountInString(line) > width { // The word alone is too long.
			rest := string([]rune(line)[width:])
			line = string([]rune(line)[:width])
			flush()
			line = rest
		}
	}
	flush()
}
