package upstream

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/internal/taskid"
)

// Query identifies one request to KooDrive: see [Client.Query]. It is validated, and immutable.
type Query struct {
	credential Credential
	taskID     string
	key        Key
	caller     Key
	quota      Key // Key of the app, whose requests KooDrive counts together; zero for callers with credentials of their own.
}

// Query returns the request for a task on behalf of the holder of a credential. It fails with a [*TaskIDError] if
// [CheckTaskID] does, and with a [*CredentialError] without a user's id that the dialect requires. Only the same Client may
// send it.
func (c *Client) Query(credential Credential, taskID string) (Query, error) {
	if err := CheckTaskID(taskID); err != nil {
		return Query{}, err
	}
	if credential.missing() {
		return Query{}, errNoCredential
	}
	if c.dialect.UserIDRequired && credential.userID == "" {
		return Query{}, &CredentialError{Header: "x-user-id", Missing: true}
	}
	q := Query{
		credential: credential, taskID: taskID,
		key:    c.hash(append(append(make([]string, 0, 7), c.origin, c.dialect.Digest, taskID), credential.parts()...)...),
		caller: c.hash(credential.caller()...),
	}
	if credential.app != nil {
		q.quota = c.hash("app", credential.app.ID)
	}
	return q, nil
}

// TaskID returns the requested task's id.
func (q *Query) TaskID() string { return q.taskID }

// Key identifies everything that can change KooDrive's answer. Two queries have the same key only if they may share an
// answer.
func (q *Query) Key() Key { return q.key }

// Caller identifies the holder of the credential, for all tasks.
func (q *Query) Caller() Key { return q.caller }

// Echoes reports whether text, which KooDrive has sent, repeats the query: at least 8 consecutive characters of the
// credential, the user's id or the task's. Fewer may be the same by chance. An app's signatures are not compared: each
// request has its own.
func (q *Query) Echoes(text string) bool {
	const least = 8
	for i := range len(text) - least + 1 {
		for _, sent := range []string{q.credential.authorization.Reveal(), q.credential.userID, q.taskID} {
			if strings.Contains(sent, text[i:i+least]) {
				return true
			}
		}
	}
	return false
}

// Call has the options of one use of a [Query].
type Call struct {
	// Queue is the queue in which the request waits: that of the query's Caller or, if KooDrive has not answered the
	// caller lately, that of its address: see [Client.PeerKey]. Required.
	Queue Key
	// Yield is for a request whose answer nobody waits for, a poll after the first one: how long other requests of its
	// queue go before it. 0: it goes before those that yield.
	Yield time.Duration
	// Language is the language of KooDrive's messages, which kootask does not read: zh-CN or en-US. Any other is not
	// sent.
	Language string
	// Trace is the W3C trace id under which KooDrive logs the request. Zero: a random one.
	Trace TraceID
	// Checked means that [Client.Withheld] has just reported false: Retry-After is not checked again before the queue, only
	// after it.
	Checked bool
	// Resend sends the request once more if a kept-alive connection ends before the answer begins. KooDrive may then
	// process it twice.
	Resend bool
	// Begun is called when the request leaves the queue and is sent, and Ended with its error when it has ended. Both
	// may be called more than once, in turn: see [Client.Begin]. Nil: they are not called.
	Begun func()
	Ended func(error)
	// Inspect examines KooDrive with the request. Nil in normal use.
	Inspect *Inspection
}

// TraceID is a W3C trace id.
type TraceID [16]byte

// NewTrace returns a random trace id. The id is public, so predictable random numbers will do.
func NewTrace() (id TraceID) {
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

// header returns an X-Traceid, for which KooDrive requires exactly 58 letters, digits and underscores: the trace id, a
// random number for the request, and zeros.
func (t TraceID) header() string {
	if t == (TraceID{}) {
		t = NewTrace()
	}
	var buffer [58]byte
	text := append(hex.AppendEncode(buffer[:0], t[:]), '_')
	text = hex.AppendEncode(text, binary.BigEndian.AppendUint64(nil, rand.Uint64()))
	return string(append(text, "_00000000"...))
}

// Key is a keyed hash that identifies a query, a caller or an address. Keys of different Clients never match.
type Key secret.Hash

// PeerKey identifies the address of a peer, which may hold many credentials.
func (c *Client) PeerKey(address string) Key { return c.hash("peer", address) }

func (c *Client) hash(parts ...string) Key { return Key(c.keys.Sum(parts...)) }

// reservedTaskIDs are KooDrive's other routes below /task/.
var reservedTaskIDs = []string{"list", "result", "create", "dstUserInfo"}

// CheckTaskID fails with a [*TaskIDError] unless id can be a KooDrive task's: 1 to 64 characters of A-Z, a-z, 0-9, _
// and -, and not the name of another KooDrive route, in any case.
func CheckTaskID(id string) error {
	switch {
	case id == "":
		return &TaskIDError{TaskIDMissing}
	case len(id) > taskid.MaxLength:
		return &TaskIDError{TaskIDTooLong}
	case !taskid.Valid(id):
		return &TaskIDError{TaskIDMalformed}
	case slices.ContainsFunc(reservedTaskIDs, func(r string) bool { return strings.EqualFold(r, id) }):
		return &TaskIDError{TaskIDReserved}
	}
	return nil
}
