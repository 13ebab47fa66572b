//go:build !race

package upstream

import (
	"context"
	"net"
	"testing"

	"github.com/kootask/kootask/internal/secret"
)

// assertAllocs fails if f allocates more often than most times.
func assertAllocs(t *testing.T, most float64, f func() error) {
	t.Helper()
	n := testing.AllocsPerRun(1000, func() {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	})
	if n > most {
		t.Errorf("%v allocations, want at most %v", n, most)
	}
}

// The task's fields are 4 of the allocations.
func TestAllocsOfAnAnswer(t *testing.T) {
	r := answered(200, "application/json", usualBody)
	assertAllocs(t, 6, func() error {
		_, err := r.task(id)
		return err
	})
}

// About 50 of the allocations are net/http's, and 2 those of waiting for the result.
func TestAllocsOfATask(t *testing.T) {
	assertAllocs(t, 77, asker(t, func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answers(server, usualAnswer())
		return client, nil
	}))
}

// The window of the breaker moves on within its memory.
func TestAllocsOfTheBreaker(t *testing.T) {
	b := newBreaker(nil)
	assertAllocs(t, 1, func() error {
		send(b, of(1, "a"), nil)
		return nil
	})
}

// A credential in the form that KooDrive expects is not copied.
func TestAllocsOfAQuery(t *testing.T) {
	c, err := NewClient(Config{BaseURL: "http://koodrive.test", AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	authorization := secret.New("Bearer 0123456789abcdef")
	assertAllocs(t, 0, func() error {
		credential, err := Forward(authorization, "", "")
		if err == nil {
			_, err = c.Query(credential, id)
		}
		return err
	})
}
