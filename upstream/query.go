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

// Query is one question to KooDrive.
type Query struct {
	// Credential is on whose behalf KooDrive is asked. Required.
	Credential Credential
	// TaskID is the task that is asked for: see [CheckTaskID]. Required.
	TaskID string
	// Language is zh-CN, en-US or empty: that of the messages of KooDrive, which are never read.
	Language string
	// Trace is the W3C trace id under which KooDrive logs the request. The zero value makes one up.
	Trace TraceID
	// Caller is who asks: see [Client.CallerKey]. Required.
	Caller Key
	// Turn is whose share of the requests the query takes: that of Caller, or, if KooDrive has not answered Caller lately, that
	// of the address from which it asks: see [Client.PeerKey]. Required.
	Turn Key
	// Resend sends the request once more if a connection that was kept alive ends before the answer begins. KooDrive may then
	// get it twice.
	Resend bool
	// Begun is called when the turn of the query has come and its request is sent, and Ended when that has ended, with what
	// it came to. They may be called twice, one after the other. Nil: nobody wants to know.
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

// Key identifies all that can change KooDrive's answer to a query: two queries have the same key only if they may share
// one answer. Keys of different Clients never match.
type Key [sha256.Size]byte

// Key returns the key of q.
func (c *Client) Key(q Query) Key {
	return c.hash(slices.Concat([]string{c.base.String(), q.Language, q.TaskID}, q.Credential.parts()))
}

// CallerKey returns a key for whoever has a credential, whichever task is asked for, and PeerKey one for a name. Neither is a
// key of a query.
func (c *Client) CallerKey(credential Credential) Key { return c.hash(credential.caller()) }

// PeerKey returns a key for the name of whoever may have many credentials.
func (c *Client) PeerKey(name string) Key { return c.hash([]string{"peer", name}) }

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
