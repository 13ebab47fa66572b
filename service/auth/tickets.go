package auth

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

const (
	// TicketLife is how long a ticket is valid.
	TicketLife = 30 * time.Second
	// MaxTickets limits the number of valid tickets.
	MaxTickets = 10_000
)

// tickets stand for admitted callers, each for a set of tasks and one use. They are for clients that cannot send headers,
// such as event sources, and would have to put a credential into a URL, where it may be logged. Only hashes are stored:
// comparing secrets directly takes a time that depends on their common prefix.
type tickets struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]ticket // Guarded by mu.
}

type ticket struct {
	who     caller.Caller
	taskIDs []string            // As set returns them.
	chain   []*x509.Certificate // The certificates that the caller presented.
	expiry  *time.Timer         // Removes it.
}

// set returns distinct task ids, in order.
func set(taskIDs []string) []string { return slices.Compact(slices.Sorted(slices.Values(taskIDs))) }

// Ticket returns a ticket for an admitted caller to watch a set of tasks, and when it expires. If the client has a
// certificate, the ticket is valid only on connections with the same one. Beyond MaxTickets, it fails with a
// [*reason.Error].
func (a *Authenticator) Ticket(r *http.Request, who caller.Caller, taskIDs []string) (
	value string, expires time.Time, err error,
) {
	var secret [32]byte
	_, _ = rand.Read(secret[:])
	value = base64.RawURLEncoding.EncodeToString(secret[:])
	hash := sha256.Sum256([]byte(value))
	a.tickets.mu.Lock()
	defer a.tickets.mu.Unlock()
	if len(a.tickets.all) >= MaxTickets {
		return "", time.Time{}, &reason.Error{Outcome: reason.FacadeOverloaded, Cause: errors.New("too many tickets")}
	}
	a.tickets.all[hash] = ticket{who, set(taskIDs), chain(r), time.AfterFunc(TicketLife, func() { a.tickets.take(hash) })}
	return value, time.Now().Add(TicketLife), nil
}

// take removes a ticket and returns it.
func (t *tickets) take(hash [sha256.Size]byte) (ticket, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.all[hash]
	if ok {
		found.expiry.Stop()
		delete(t.all, hash)
	}
	return found, ok
}

// Redeem returns the caller that a ticket stands for, for a request to watch the same set of tasks. It uses the ticket up
// even if it fails. The request must have no other credential; its language overrides the caller's.
func (a *Authenticator) Redeem(r *http.Request, value string, taskIDs []string) (caller.Caller, error) {
	who := caller.Nobody(r.Header.Values)
	who.Peer = a.Peer(r)
	found, ok := a.tickets.take(sha256.Sum256([]byte(value)))
	for _, name := range []string{caller.HeaderAuthorization, caller.HeaderUserID, caller.HeaderDate, caller.HeaderCallerToken} {
		if len(r.Header.Values(name)) > 0 {
			return who, reason.Invalid(reason.CredentialAmbiguous, name, reason.Repeated, "Must be absent beside a ticket.")
		}
	}
	if !ok || !slices.Equal(found.taskIDs, set(taskIDs)) || !slices.EqualFunc(found.chain, chain(r), (*x509.Certificate).Equal) {
		err := a.failed(who, &reason.Error{Outcome: reason.TicketInvalid})
		a.audit(r.Context(), who, err)
		return who, err
	}
	admitted := found.who
	admitted.RequestID, admitted.Trace, admitted.Peer = who.RequestID, who.Trace, who.Peer
	admitted.Language = cmp.Or(who.Language, admitted.Language)
	if err := admitted.Still(); err != nil {
		if reason.Of(err).Outcome == reason.CallerTokenExpired { // Still has logged all other errors.
			a.audit(r.Context(), admitted, err)
		}
		return admitted, err
	}
	a.audit(r.Context(), admitted, nil)
	return admitted, nil
}
