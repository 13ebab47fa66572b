package server_test

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/canaries"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// Every test of this package also tests for leaks: when it ends, everything that its system has sent or logged is searched
// for the canaries that were sent to it.
//
// A task's name, owner and tenant are data: they may stand only in a task that is answered to its caller, not in the log.
// KooDrive's address and network errors are for the operator: they may stand in the log. Everything else may stand nowhere.
// Ids of tasks, requests and traces in a valid form are not canaries, since calls are found in the log by them.

// place is where a text comes out.
type place string

const (
	inLog     place = "the log"
	inMetrics place = "the metrics"
	inDump    place = "the dump of goroutines"
	inTask    place = "a task's answer"
	inHeader  place = "an answer's header or trailer"
	inError   place = "an error"
	inEvent   place = "an event other than a task"
	inOther   place = "another answer"
)

// watched are the canaries, and where each may be.
var watched = map[*canaries.Canary]place{
	canaries.New("a bearer token", token[:16]):                 "", // It repeats itself.
	canaries.New("a carrier's token", atToken):                 "",
	canaries.New("a signature", signature):                     "",
	canaries.New("an app's secret", "s3cr3t"):                  "",
	canaries.New("KooDrive's text", canary):                    "",
	canaries.New("junk from a caller", junk):                   "",
	canaries.New("KooDrive's path", "/koodrive/ose/"):          "",
	canaries.New("KooDrive's name", "koodrive.test"):           inLog,
	canaries.New("the network's error", network):               inLog,
	canaries.New("a user", koodrivetest.Example().UserID):      inTask,
	canaries.New("a claim of a caller's token", claim):         "",
	canaries.New("a tenant", koodrivetest.Example().TenantID):  inTask,
	canaries.New("a task's name", koodrivetest.Example().Name): inTask,
}

const (
	atToken   = `AT-"canary"\<1>+/=`
	signature = `Hmac"Canary"\<2>+/=`
	junk      = "junk-of-a-caller"
	network   = "canary-of-the-network"
	claim     = "claim-of-a-caller"
)

// evidence is everything that a system has sent or logged. It is searched at once, and not kept. A nil evidence ignores
// everything.
type evidence struct {
	mu     sync.Mutex
	seed   maphash.Seed
	seen   map[uint64]bool    // By place and text: a thousand watchers get the same.
	pieces map[place]int      // Texts that were searched.
	found  map[string]string  // One line per finding.
	own    []*canaries.Canary // Canaries of this system, which may be nowhere.
}

// watch adds a canary, which may be nowhere.
func (e *evidence) watch(name, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.own = append(e.own, canaries.New(name, text))
}

func newEvidence() *evidence {
	return &evidence{seed: maphash.MakeSeed(), seen: map[uint64]bool{}, pieces: map[place]int{}, found: map[string]string{}}
}

// enough pieces of a kind are searched: the following ones, in tests of crowds, are like them.
const enough = 1000

func (e *evidence) wants(where place) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pieces[where] < enough
}

// add searches a text.
func (e *evidence) add(where place, text string) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pieces[where] >= enough {
		return
	}
	key := maphash.String(e.seed, string(where)+"\n"+text)
	if e.seen[key] {
		return
	}
	e.seen[key] = true
	e.pieces[where]++
	search := slices.Clone(e.own)
	for c, allowed := range watched {
		if where != allowed {
			search = append(search, c)
		}
	}
	for _, c := range search {
		if form := c.In(text); form != "" {
			what := fmt.Sprintf("%s is in %s, %s", c.Name, where, form)
			for line := range strings.Lines(text) { // One finding is enough for a report.
				if e.found[what] == "" && c.In(line) != "" {
					e.found[what] = line
				}
			}
		}
	}
}

// end searches the log at the end of a test, and reports the findings.
func (e *evidence) end(t *testing.T, s *system) {
	t.Helper()
	e.add(inLog, s.log.String())
	for what, line := range e.found {
		t.Errorf("%s: %.2000q", what, line) // A gRPC message is binary.
	}
}

// look searches the admin port, if the system still runs.
func (e *evidence) look(s *system) {
	for path, where := range map[string]place{"/metrics": inMetrics, "/debug/pprof/goroutine?debug=2": inDump} {
		resp, err := s.admin.Get("http://localhost" + path)
		if err != nil {
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusNotFound {
			e.found["nothing is in "+string(where)] = path
		}
		e.add(where, string(body))
	}
}

// response searches the header of an HTTP answer.
func (e *evidence) response(resp *http.Response) {
	e.add(inHeader, fmt.Sprintf("%s %v %v", resp.Status, resp.Header, resp.Trailer))
}

// body searches the whole body of an HTTP answer.
func (e *evidence) body(resp *http.Response, body string) {
	switch {
	case resp.StatusCode != http.StatusOK:
		e.add(inError, body)
	case strings.HasPrefix(resp.Request.URL.Path, "/v1/tasks"):
		e.add(inTask, body)
	case resp.Request.URL.Path == "/openapi.json": // It has the documents' example, which is the source of the canaries.
	default:
		e.add(inOther, body)
	}
}

// event searches an event of an HTTP stream.
func (e *evidence) event(v event) {
	where := inEvent
	if v.name == "task" {
		where = inTask
	}
	e.add(where, fmt.Sprintln(v.name, v.id, v.data, v.wait))
}

// HandleRPC makes evidence a stats.Handler, with the methods below: it sees everything that a gRPC client receives.
func (e *evidence) HandleRPC(_ context.Context, of stats.RPCStats) {
	switch of := of.(type) {
	case *stats.InHeader:
		e.add(inHeader, fmt.Sprint(of.Header))
	case *stats.InTrailer:
		e.add(inHeader, fmt.Sprint(of.Trailer))
	case *stats.InPayload:
		where := inOther
		if o, ok := of.Payload.(*longrunningpb.Operation); ok {
			where = inTask
			raw, _ := proto.Marshal(o.GetError())
			e.add(inError, string(raw))
		}
		if m, ok := of.Payload.(interface{ GetTask() *taskv1.Task }); ok {
			where = inEvent
			if m.GetTask() != nil {
				where = inTask
			}
		}
		if e.wants(where) {
			raw, _ := proto.Marshal(of.Payload.(proto.Message))
			e.add(where, string(raw))
		}
	case *stats.End:
		if of.Error != nil {
			raw, _ := proto.Marshal(status.Convert(of.Error).Proto())
			e.add(inError, string(raw))
		}
	}
}

func (e *evidence) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (e *evidence) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (e *evidence) HandleConn(context.Context, stats.ConnStats)                       {}
