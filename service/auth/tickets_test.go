package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

// redeem makes a request with a ticket, and returns the caller and the outcome.
func redeem(c *Authenticator, value, taskID string, header ...string) (caller.Caller, string) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	who, err := c.Redeem(r, value, []string{taskID})
	if err != nil {
		return who, reason.Of(err).Outcome.Name
	}
	return who, allowed
}

// left is the number of tickets in memory, and thus of the credentials for which they stand.
func (c *Authenticator) left() int {
	c.tickets.mu.Lock()
	defer c.tickets.mu.Unlock()
	return len(c.tickets.all)
}

// The credential behind a ticket is kept no longer than the ticket is valid, used or not.
func TestTicketsAreForgotten(t *testing.T) {
	for name, row := range map[string]struct {
		after  time.Duration
		id     string
		header []string
		want   string
	}{
		"used":                 {0, "1", nil, allowed},
		"used at last":         {TicketLife - time.Nanosecond, "1", nil, allowed},
		"too late":             {TicketLife, "1", nil, "TICKET_INVALID"},
		"for another task":     {0, "2", nil, "TICKET_INVALID"},
		"beside a credential":  {0, "1", []string{"Authorization", "Bearer a"}, "CREDENTIAL_AMBIGUOUS"},
		"beside a user":        {0, "1", []string{"X-User-Id", "1001"}, "CREDENTIAL_AMBIGUOUS"},
		"beside a date":        {0, "1", []string{"X-Date", "20240831T143829Z"}, "CREDENTIAL_AMBIGUOUS"},
		"beside a kootask one": {0, "1", []string{"X-Kootask-Authorization", "Bearer a"}, "CREDENTIAL_AMBIGUOUS"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := New(Config{Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				who := caller.Caller{UserID: "1001"}
				value, expires, err := c.Ticket(&http.Request{}, who, []string{"1"})
				if err != nil || c.left() != 1 || !expires.Equal(time.Now().Add(TicketLife)) {
					t.Fatalf("%v, %d tickets, which end %v", err, c.left(), expires)
				}
				time.Sleep(row.after)
				synctest.Wait()
				got, outcome := redeem(c, value, row.id, row.header...)
				if outcome != row.want || (got.UserID == who.UserID) != (outcome == allowed) || c.left() != 0 {
					t.Errorf("%s, as %q, and %d tickets are left", outcome, got.UserID, c.left())
				}
				if _, again := redeem(c, value, "1"); again != "TICKET_INVALID" {
					t.Errorf("then %s", again)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c, _ := New(Config{Log: slog.New(slog.DiscardHandler)})
		if _, _, err := c.Ticket(&http.Request{}, caller.Caller{}, []string{"1"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(TicketLife)
		synctest.Wait()
		if c.left() != 0 {
			t.Errorf("unused: %d tickets are left", c.left())
		}
	})
}

// The number of tickets is limited; expired tickets make room.
func TestTicketsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := New(Config{Log: slog.New(slog.DiscardHandler)})
		values := map[string]bool{}
		for range MaxTickets {
			value, _, err := c.Ticket(&http.Request{}, caller.Caller{}, []string{"1"})
			if err != nil {
				t.Fatal(err)
			}
			values[value] = true
		}
		_, _, err := c.Ticket(&http.Request{}, caller.Caller{}, []string{"1"})
		var failure *reason.Error
		if !errors.As(err, &failure) || failure.Outcome != reason.FacadeOverloaded {
			t.Errorf("one too many: %v", err)
		}
		if len(values) != MaxTickets {
			t.Errorf("%d tickets are different", len(values))
		}
		time.Sleep(TicketLife)
		synctest.Wait()
		if _, _, err := c.Ticket(&http.Request{}, caller.Caller{}, []string{"1"}); err != nil || c.left() != 1 {
			t.Errorf("later: %v, %d tickets", err, c.left())
		}
	})
}

// A ticket that was issued over a connection with a client certificate is valid only over connections with the same certificate.
func TestTicketsGoWithTheirCertificate(t *testing.T) {
	over := func(one string) *tls.ConnectionState {
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(one)}}}
	}
	mine, other := over("mine"), over("another's")
	for name, row := range map[string]struct {
		with *tls.ConnectionState
		good bool
	}{"its own": {mine, true}, "another": {other, false}, "none": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, ids := range [][]string{{"1"}, {"1", "2"}} {
					c, _ := New(Config{Log: slog.New(slog.DiscardHandler)})
					value, _, err := c.Ticket(&http.Request{TLS: mine}, caller.Caller{}, ids)
					if err != nil {
						t.Fatal(err)
					}
					r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
					r.TLS = row.with
					if _, err := c.Redeem(r, value, ids); (err == nil) != row.good {
						t.Error(ids, err)
					}
					c.Close()
				}
			})
		})
	}
}
