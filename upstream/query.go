package upstream

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/kootask/kootask/internal/taskid"
)

// Query is one question to KooDrive, checked and hashed: see [Client.Query]. It never changes.
type Query struct {
	credential Credential
	taskID     string
	key        Key
	caller     Key
	quota      Key // What KooDrive counts the requests of an app by; zero for callers with credentials of their own.
}

// Query returns the question how a task stands, on behalf of the holder of a credential. It fails with a [*TaskIDError] for an
// id that no KooDrive task has: see [CheckTaskID]. Only the Client that made it may ask it.
func (c *Client) Query(credential Credential, taskID string) (Query, error) {
	if err := CheckTaskID(taskID); err != nil {
		return Query{}, err
	}
	if credential.missing() {
		return Query{}, errNoCredential
	}
	q := Query{
		credential: credential, taskID: taskID,
		key:    c.hash(slices.Concat([]string{c.base.String(), taskID}, credential.parts())),
		caller: c.hash(credential.caller()),
	}
	if credential.app != nil {
		q.quota = c.hash([]string{"app", credential.app.ID})
	}
	return q, nil
}

// TaskID is the task that is asked for.
func (q Query) TaskID() string { return q.taskID }

// Key identifies all that can change KooDrive's answer: two queries have the same key only if they may share one answer.
func (q Query) Key() Key { return q.key }

// Caller identifies the holder of the credential, for every task.
func (q Query) Caller() Key { return q.caller }

// Call is how a [Query] is asked this time.
type Call struct {
	// Queue is where the request waits: that of the query's Caller or, if KooDrive has not answered that one lately, that of the
	// address from which it asks: see [Client.PeerKey]. Required.
	Queue Key
	// Due is called when neither a circuit breaker nor KooDrive's Retry-After withholds the request, before it waits in the queue.
	// Its error ends the call. Nil: nothing else is asked.
	Due func() error
	// Language is that of KooDrive's messages, which are never read: zh-CN or en-US. Any other is not sent.
	Language string
	// Trace is the W3C trace id under which KooDrive logs the request. The zero value makes one up.
	Trace TraceID
	// Resend sends the request once more if a connection that was kept alive ends before the answer begins. KooDrive may then
	// get it twice.
	Resend bool
	// Begun is called when the request has left the queue and is sent, and Ended with what it came to when it has ended. They may
	// be called twice, one after the other. Nil: nothing is called.
	Begun func()
	Ended func(error)
}

// TraceID is a W3C trace id.
type TraceID [16]byte

// header is an X-Traceid, of which KooDrive wants exactly 58 letters, digits and underscores: the trace id, a number for
// the request, and zeros that fill it up.
func (t TraceID) header() string {
	if t == (TraceID{}) {
		_, _ = rand.Read(t[:])
	}
	var request [8]byte
	_, _ = rand.Read(request[:])
	return hex.EncodeToString(t[:]) + "_" + hex.EncodeToString(request[:]) + "_" + "00000000"
}

// Key is a keyed hash that stands for a query, a caller or an address. Keys of different Clients never match.
type Key [sha256.Size]byte

// PeerKey identifies the address of a peer, which may hold many credentials.
func (c *Client) PeerKey(address string) Key { return c.hash([]string{"peer", address}) }

// hash is a keyed hash of parts, each with its length, so that no two lists of parts look alike.
func (c *Client) hash(parts []string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, c.keySecret[:])
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return [sha256.Size]byte(mac.Sum(nil))
}

// reservedTaskIDs are KooDrive's other routes below /task/.
var reservedTaskIDs = []string{"list", "result", "create", "dstUserInfo"}

// CheckTaskID reports whether id can be that of a KooDrive task: 1 to 64 characters of A-Z, a-z, 0-9, _ and -, and not
// the name of another of KooDrive's routes in any case. It fails with a [*TaskIDError].
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
