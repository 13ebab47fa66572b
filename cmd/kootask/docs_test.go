package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/code"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/docpage"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/gateway"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream"
)

// The tables of the documentation are generated from the code by make docs.
func TestDocs(t *testing.T) {
	for name, part := range map[string]struct{ page, content string }{
		"flags":      {"configuration.md", flagTables(t)},
		"reasons":    {"errors.md", reasonTable()},
		"languages":  {"errors.md", "`" + strings.Join(reason.Languages(), "`, `") + "`"},
		"tolerance":  {"watching.md", toleranceTable()},
		"outcomes":   {"metrics.md", outcomeTable()},
		"limits":     {"limits.md", docpage.Table(limitRows())},
		"exit codes": {"cli.md", exitTable()},
		"session":    {"cli.md", documentedSession(t)},
		"explain":    {"cli.md", documentedExplanation(t)},
		"doctor":     {"koodrive.md", "```\n" + doctorReport(t) + "```\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := docpage.Sync(root+"/docs/"+part.page, name, part.content, *update); err != nil {
				t.Error(err)
			}
		})
	}
}

var (
	namedFlag = regexp.MustCompile("(?:^|[ `(])--([a-z][a-z-]*)")
	elsewhere = regexp.MustCompile(`^\s*(curl|pip|podman|sudo systemctl|\.venv/bin/(pip|python)) `) // Command lines of other programs.
)

// Every flag that a text names is one of a command of kootask.
func TestFlagsInTextsExist(t *testing.T) {
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	known, found := map[string]bool{}, 0
	for _, f := range parser.Model.Flags {
		known[f.Name] = true
	}
	for _, command := range parser.Model.Children {
		for _, f := range command.Flags {
			known[f.Name] = true
			known["no-"+f.Name] = f.Tag.Negatable != ""
		}
	}
	var documents []string
	for _, pattern := range []string{"/*.md", "/docs/*.md"} {
		found, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	for _, document := range documents {
		for i, line := range strings.Split(text(t, strings.TrimPrefix(document, root)), "\n") {
			if elsewhere.MatchString(line) {
				continue
			}
			for _, m := range namedFlag.FindAllStringSubmatch(line, -1) {
				if name := m[1]; !known[name] {
					t.Errorf("%s:%d names --%s, but no command has that flag: correct it there", strings.TrimPrefix(document, root+"/"), i+1, name)
				}
				found++
			}
		}
	}
	if found < 50 {
		t.Errorf("%d flags found", found)
	}
}

// modelOf returns a command's part of kong's model.
func modelOf(t *testing.T, name string) *kong.Node {
	t.Helper()
	parser, err := kong.New(&commands{}, kong.DefaultEnvars("KOOTASK"))
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model.Children[slices.IndexFunc(parser.Model.Children, func(n *kong.Node) bool { return n.Name == name })]
}

// flagTables are the flags of serve, one table per group.
func flagTables(t *testing.T) string {
	t.Helper()
	const process = "Process"
	tables := map[string][][]string{}
	for _, f := range modelOf(t, "serve").Flags {
		group := process
		if f.Group != nil {
			group = f.Group.Title
		}
		byDefault := f.Default
		if f.IsBool() {
			byDefault = cmp.Or(f.Default, "false")
		}
		if byDefault != "" {
			byDefault = "`" + byDefault + "`"
		}
		if tables[group] == nil {
			tables[group] = [][]string{{"flag", "environment", "default", ""}}
		}
		tables[group] = append(tables[group], []string{"`--" + f.Name + "`", "`" + strings.Join(f.Envs, " ") + "`", byDefault, coded(f.Help)})
	}
	var b strings.Builder
	for _, group := range []string{"KooDrive", "Ports", "Watches", "Callers", process} {
		fmt.Fprintf(&b, "## %s\n\n%s\n", group, docpage.Table(tables[group]))
		delete(tables, group)
	}
	if len(tables) > 0 {
		t.Errorf("flagTables leaves out the groups %q: add them to its list", slices.Collect(maps.Keys(tables)))
	}
	return b.String()
}

// coded marks flags and paths in a text as code.
func coded(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		bare := strings.TrimRight(word, ".,;:)")
		if strings.HasPrefix(bare, "--") || strings.HasPrefix(bare, "/") || strings.Contains(bare, "_") {
			words[i] = "`" + bare + "`" + strings.TrimPrefix(word, bare)
		}
	}
	return strings.Join(words, " ")
}

func reasonTable() string {
	rows := [][]string{{"reason", "gRPC code", "HTTP", "retry", "message"}}
	for n := range int32(len(taskv1.ErrorReason_name)) {
		if n == 0 { // Unspecified.
			continue
		}
		st := (&reason.Error{Outcome: reason.Outcome{Reason: taskv1.ErrorReason(n)}}).Status("id", "")
		status := runtime.HTTPStatusFromCode(st.Code())
		if taskv1.ErrorReason(n) == taskv1.ErrorReason_METHOD_NOT_ALLOWED {
			status = http.StatusMethodNotAllowed
		}
		retry := ""
		if _, delay := reason.Read(st); delay != nil {
			retry = "yes"
		}
		rows = append(rows, []string{
			"`" + taskv1.ErrorReason(n).String() + "`", code.Code(st.Code()).String(), strconv.Itoa(status), retry, st.Message(),
		})
	}
	return docpage.Table(rows)
}

// unlimited is the text for a tolerance without a limit.
const unlimited = "no limit"

// polls returns the number of consecutive polls with an outcome that end a watch, as text. It is empty if no poll has the
// outcome: the others end a watch themselves.
func polls(o reason.Outcome) string {
	switch n := o.Tolerance(); {
	case !slices.Contains(reason.KooDriveOutcomes(), o), o == reason.TaskDisappeared, o == reason.UpstreamStale:
		return ""
	case n == reason.Unlimited:
		return unlimited
	default:
		return strconv.Itoa(n)
	}
}

// toleranceTable says which failed polls end a watch.
func toleranceTable() string {
	reasons := map[string][]string{}
	for _, outcome := range reason.Outcomes() {
		name := "`" + outcome.Reason.String() + "`"
		if n := polls(outcome); !slices.Contains(reasons[n], name) {
			reasons[n] = append(reasons[n], name)
		}
	}
	delete(reasons, "")
	rows := [][]string{{"consecutive failed polls", "reason", "the watch ends"}}
	for _, n := range slices.Sorted(maps.Keys(reasons)) {
		end := "at the last of these polls, with its reason"
		if n == unlimited {
			end = "with `UPSTREAM_STALE`, if no poll succeeds in time"
		}
		rows = append(rows, []string{n, strings.Join(reasons[n], ", "), end})
	}
	return docpage.Table(rows)
}

// outcomeTable has all values of the label outcome.
func outcomeTable() string {
	rows := [][]string{{"outcome", "about", "reason", "polls that end a watch"}}
	for _, outcome := range reason.Outcomes() {
		about, public := "the call", "`"+outcome.Reason.String()+"`"
		if slices.Contains(reason.KooDriveOutcomes(), outcome) {
			about = "KooDrive"
		}
		if outcome == reason.CallerCancelled {
			public = ""
		}
		rows = append(rows, []string{"`" + outcome.Name + "`", about, public, polls(outcome)})
	}
	return docpage.Table(rows)
}

// limitRows are the limits that no flag sets.
func limitRows() [][]string {
	kib := func(n int) string { return fmt.Sprintf("%d KiB", n>>10) }
	return [][]string{
		{"limit", "value"},
		{"Size of a credential for KooDrive", kib(caller.MaxAuthorization)},
		{"Size of a request's header, including a caller's token", kib(rpcserver.MaxHeader)},
		{"Size of a gRPC request message, decompressed", kib(rpcserver.MaxMessage)},
		{"Size of a status with its details", kib(reason.MaxStatus)},
		{"Size of KooDrive's body, decompressed", kib(upstream.MaxBody)},
		{"Size of KooDrive's header", kib(upstream.MaxHeader)},
		{"Tasks of one `WatchTasks` stream", strconv.Itoa(service.MaxListed)},
		{"Calls and watches on one connection", strconv.Itoa(rpcserver.MaxStreams)},
		{"Connections to the admin port", strconv.Itoa(server.AdminConnections)},
		{"Unused tickets", strconv.Itoa(auth.MaxTickets)},
		{"Validity of a ticket", span(auth.TicketLife)},
		{"Maximum duration of `GetTask`", span(service.GetTimeout)},
		{"Duration of a wait without `timeout`", span(service.DefaultWait)},
		{"Maximum duration of a wait", span(service.MaxWait)},
		{"Timeout for the TLS handshake and HTTP/2 preface of a gRPC connection", span(rpcserver.ConnectTimeout)},
		{"Timeout for a gRPC request after its header", span(rpcserver.RequestTimeout)},
		{"Timeout for an HTTP request's header", span(server.HeaderTimeout)},
		{"Idle timeout of an HTTP connection", span(server.IdleTimeout)},
		{"Time for a client to read an HTTP answer, except a watch", span(server.AnswerTimeout)},
		{"Timeout of a blocked write of a watch over HTTP", span(gateway.WriteTimeout)},
		{"Timeout of a blocked write of a watch over gRPC", span(service.SendTimeout)},
		{"Minimum interval of a client's gRPC pings", span(rpcserver.ClientPing)},
		{"Maximum age of a gRPC connection for new calls, ±10 %", span(rpcserver.MaxConnectionAge)},
	}
}

// span is a time in seconds, or in minutes from two minutes on.
func span(d time.Duration) string {
	if d >= 2*time.Minute {
		return fmt.Sprintf("%v min", d.Minutes())
	}
	return fmt.Sprintf("%v s", d.Seconds())
}

func exitTable() string {
	rows := [][]string{{"exit code", "meaning"}}
	for _, e := range exits {
		rows = append(rows, []string{strconv.Itoa(e.code), e.meaning})
	}
	return docpage.Table(rows)
}
