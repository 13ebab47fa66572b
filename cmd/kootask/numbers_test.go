package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/cmd/kootask/logging"
	"github.com/kootask/kootask/cmd/kootask/reload"
	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/callers"
	"github.com/kootask/kootask/service/gateway"
	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// span is how the README writes a time: in seconds, or in minutes if there are several.
func span(d time.Duration) string {
	if d >= 2*time.Minute {
		return fmt.Sprintf("%v minutes", d.Minutes())
	}
	return fmt.Sprintf("%v s", d.Seconds())
}

// count is how it writes a number.
func count(n int) string {
	if n >= 1000 {
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return fmt.Sprint(n)
}

func kib(n int) string { return fmt.Sprintf("%d KiB", n>>10) }

// in puts values into a sentence of the README.
func in(sentence string, values ...any) string { return fmt.Sprintf(sentence, values...) }

// word is a number that the README writes as a word: it is empty, and so in no README, if it is another one.
func word(w string, holds bool) string {
	if holds {
		return w
	}
	return "\x00"
}

// longestWatch is how long a watch lasts at the most.
func longestWatch() string {
	return span(time.Duration(float64(service.DefaultWatchLifetime) * (1 + service.LifetimeSpread)))
}

// stated are the sentences of the README that state numbers, made from the numbers that the code uses.
func stated() []string {
	return []string{
		in("through an outage of KooDrive that lasts %s", span(outage)),
		in("KooDrive is asked %s after a change, then %s as late again each time nothing has changed, up to %s",
			span(service.DefaultPollMin), word("half", watch.Growth == 1.5), span(service.DefaultPollMax)),
		in("after failures %s as late each time, up to %s; all of it a %s sooner or later at random",
			word("twice", watch.Backoff == 2), span(service.DefaultPollBackoffMax), word("fifth", watch.JitterShare == 0.2)),
		in("After %s without anything else there is a heartbeat", span(service.DefaultHeartbeat)),
		in("takes longer than %s, a heartbeat opens the stream", span(service.FirstMessage)),
		in("until KooDrive has not answered for %s", span(service.DefaultStaleAfter)),
		in("refuses the credential ends it at the %s time in succession", word("second", reason.UpstreamTokenRejected.Tolerance() == 2)),
		in("that the task is not there at the %s", word("third", reason.TaskNotFound.Tolerance() == 3)),
		word("A ` ` over HTTP/1.1 is still answered", true),
		in("A watch lasts %s ± %v %%", span(service.DefaultWatchLifetime), 100*service.LifetimeSpread),
		in("over HTTP %s after a write blocks, over gRPC %s after 64 KiB wait unread", span(gateway.WriteTimeout), span(service.SendTimeout)),
		in("told to stay away by a %d", http.StatusNoContent),
		in("for that task, once, within %s", span(callers.TicketLife)),
		in("its ticket is used up, and it gets %d", http.StatusUnauthorized),
		in("from an answer other than %d", http.StatusOK),

		in("sends KooDrive at most %d requests a second, and at most %d at a time", upstream.DefaultPerSecond, upstream.DefaultAtOnce),
		in("waits up to %s for its slot;", span(service.Patience)),
		in("held until it passes: %s if KooDrive does not say, %s at most", span(upstream.RatePause), span(upstream.MaxRetryAfter)),
		in("When %s of at least %d requests of one caller within %s have failed, that caller's circuit breaker opens for %s",
			word("half", upstream.BreakerShare == 0.5), upstream.BreakerAttempts, span(upstream.BreakerWindow), span(upstream.BreakerPause)),
		in("for at least %d tasks", upstream.BreakerTasks), in("opens only if at least %d tasks of its new callers fail", upstream.BreakerTasks),
		in("one trial request every %s, or one a %s while", span(upstream.BreakerPause), word("second", upstream.NeutralPause == time.Second)),
		in("(a %d, for example)", http.StatusNotFound),
		in("of one retry for %v successes", service.RetrySuccesses),
		in("has its own share for %s", span(service.KnownCaller)),
		in("may start %d new tasks a second, and %d times as many at once", service.DefaultNewTasksPerPeer, service.PeerBurst),
		in("A watch beyond that waits up to %s;", span(service.PeerPatience)),
		in("IPv6 addresses are grouped by their first %d bits", caller.CustomerBits),
		in("KooDrive has the trace id as the first %d characters", 2*len(upstream.TraceID{})),
		in("types of its top-level fields, at most %d of them", upstream.MaxFields),
		in("the first %d of each second are written", logging.SampleFirst),
		in("In one second, %s pairs of address and outcome", count(logging.MaxSources)),
		in("Up to %d MiB of lines wait to be written, a %s of them reserved", logging.QueueBytes>>20, word("quarter", logging.AuditReserve == logging.QueueBytes/4)),
		in("A %d with ` ` holds the requests of the whole app. A %d without it holds, for %s,", http.StatusTooManyRequests, http.StatusTooManyRequests, span(upstream.RatePause)),
		in("and watches poll less often. %d: only", 0),
		"| ` ` | ` ` | ` ` | Requests per second that each user",
		in("GOAWAY over HTTP/%d) is sent again up to %d times, within the same limits", 2, upstream.MaxRepeats),
		in("get no new requests after %s ± %v %%", span(upstream.ConnectionAge), 100*upstream.AgeSpread),
		in("If the proxy refuses (%d, or", http.StatusProxyAuthRequired),
		in("answered from memory for %s", span(observe.DefaultKeep)),

		in("%s other tasks are watched with the credential, or the address asks for more than %d new tasks a second, or for so many tickets",
			count(service.DefaultMaxTasksPerCredential), service.DefaultNewTasksPerPeer),
		in("did not come within a %s, %s tasks are watched, or", word("second", service.Patience == time.Second), count(service.DefaultMaxTasks)),
		in("a malformed request with %d and a header that is too long with %d", http.StatusBadRequest, http.StatusRequestHeaderFieldsTooLarge),

		in("| A credential for KooDrive | %s |", kib(caller.MaxAuthorization)),
		word("| A caller's token for kootask | what the rest leaves of a request's header |", caller.MaxToken == rpcserver.MaxHeader),
		in("| A gRPC request | %s |", kib(rpcserver.MaxMessage)),
		in("| A request's header | %s |", kib(rpcserver.MaxHeader)),
		in("| A status with its details | %s |", kib(reason.MaxStatus)),
		in("| What is read of KooDrive's body, unzipped | %s |", kib(upstream.MaxBody)),
		in("| What is read of KooDrive's header | %s |", kib(upstream.MaxHeader)),
		in("| Calls and watches on one connection | %s |", count(rpcserver.MaxStreams)),
		in("| ` `, whatever the caller's deadline | %s |", span(service.GetTimeout)),
		in("| A gRPC connection's TLS handshake and HTTP/2 preface | %s |", span(rpcserver.ConnectTimeout)),
		in("| Connections to the admin port | %d |", server.AdminConnections),
		in("| A gRPC call's request, to arrive after its header | %s |", span(rpcserver.RequestTimeout)),
		in("| An HTTP request's header, to arrive | %s |", span(server.HeaderTimeout)),
		in("| An HTTP connection without a request | %s |", span(server.IdleTimeout)),
		in("| An HTTP answer other than a watch, to be made and read | %s |", span(server.AnswerTimeout)),
		in("| A client's gRPC pings, apart | %s |", span(rpcserver.ClientPing)),
		in("| A gRPC connection, until new calls need another one, a tenth less or more at random | %s |", span(rpcserver.MaxConnectionAge)),

		in("no more than %d requests a second, in outages", upstream.DefaultPerSecond),
		in("with Retry-After is kept, up to %s", span(upstream.MaxRetryAfter)),
		in("a message or an error within %s, and then one at least every %s", span(service.FirstMessage), span(service.MaxHeartbeat)),
		in("after %s without that the watch ends", span(service.DefaultStaleAfter)),
		in("no longer than %s, nor than the %s poll in succession at which", longestWatch(), word("second", reason.UpstreamTokenRejected.Tolerance() == 2)),
		in("it is no larger than %s", kib(reason.MaxStatus)),
		in("then ends by itself, within %s", span(server.DefaultGrace)),

		in("exit code %d. | flag", exitUsage),
		in("TLS is %s or later", word("1.2", server.MinTLS == tls.VersionTLS12)),
		in("are re-read every %s:", span(reload.Interval)),
		in("cannot be read within %s is reported", span(credfile.Patience)),
		in("again when they are %s old, and never more often than every %s", span(callers.KeysAge), span(callers.KeysApart)),
		in("How long one request to KooDrive may take: a %s at the most", word("minute", maxTimeout == time.Minute)),
		in("while nothing changes: %s at the most, since KooDrive's sessions end after %v", span(maxPoll), koodriveSession.Minutes()),
		in("gets a heartbeat: 1 s to %s", span(service.MaxHeartbeat)),
		word("take 10 s of silence for a broken stream", service.DefaultHeartbeat < 10*time.Second),
		in("at the most, a %s less or more at random", word("fifth", service.LifetimeSpread == 0.2)),
		in("may ask for in a second; %s times as many may come at once", word("ten", service.PeerBurst == 10)),
		in("exit code is %d; it is %d if the grace time was over first", exitOK, exitError),
		in("| %d | All tasks have succeeded", exitOK), in("| %d | A task has failed", exitFailed),
		in("| %d | KooDrive has no such task", exitNotFound), in("| %d | The credential or the caller is refused", exitRefused),
		in("| %d | The command line is wrong", exitUsage), in("| %d | It was interrupted", exitInterrupted), in("| %d | Anything else", exitError),
		in("the first of %d, %d, %d, %d and %d", exitInterrupted, exitError, exitRefused, exitNotFound, exitFailed),
	}
}

var (
	codeBlock = regexp.MustCompile("(?s)\n```.*?\n```\n")
	code      = regexp.MustCompile("`[^`]*`|\\]\\([^)]*\\)")
	promise   = regexp.MustCompile(`(?m)^\| [0-9]+ \| \*\*`)
	reasonRow = regexp.MustCompile("(?m)^(\\| `[A-Z_]+` \\| [A-Z_]+ \\|) [0-9]+ \\|")
	goVersion = regexp.MustCompile(`(?m)^go ([\d.]+)`)
)

// Every number that the README states is the one that the code uses: the sentences that state one are made from it, and
// there are no others. What stands as code is checked elsewhere, as are the columns of the tables.
func TestReadmeNumbers(t *testing.T) {
	mod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	text := codeBlock.ReplaceAllString(readme(t), "\n")
	text = reasonRow.ReplaceAllString(text, "$1 |")
	text = promise.ReplaceAllString(text, "| | ")
	text = strings.Join(strings.Fields(code.ReplaceAllString(text, "` `")), " ")
	sentences := append(stated(), "Go "+goVersion.FindStringSubmatch(string(mod))[1]+" or newer (Go 1.21 or newer fetches it)")
	for _, sentence := range sentences {
		if !strings.Contains(text, sentence) {
			t.Errorf("the README does not say %q", sentence)
		}
		text = strings.ReplaceAll(text, sentence, " … ")
	}
	for _, at := range regexp.MustCompile(`[0-9]+`).FindAllStringIndex(text, -1) {
		t.Errorf("nothing stands for the number in %q", text[max(0, at[0]-40):min(len(text), at[1]+40)])
	}
}
