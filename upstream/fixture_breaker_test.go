package upstream

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
)

// failures and neutral are ends of requests: those that count against KooDrive, and those that do not.
var (
	failures = []error{
		&TransportError{Fault: TimedOut}, &TransportError{Fault: Unreachable}, &StatusError{Status: 500}, &StatusError{Status: 503},
		&AnswerError{Fault: Malformed}, &TransportError{Fault: TimedOut, Err: context.DeadlineExceeded},
	}
	neutral = []error{
		&StatusError{Status: 401}, &StatusError{Status: 404}, &StatusError{Status: 400, Code: "13000309"}, &StatusError{Status: 429},
		&AnswerError{Fault: WrongTask}, &TransportError{Fault: Untrusted}, fmt.Errorf("asking: %w", context.Canceled),
		fmt.Errorf("asking: %w", context.DeadlineExceeded), errNoCredential,
	}
	failure = failures[0]
)

// numbered is the key of caller or address n.
func numbered(n int) (k Key) {
	binary.BigEndian.PutUint32(k[:], uint32(n))
	return k
}

// of is a query of a caller that KooDrive has answered lately; at is one of another caller, at an address.
func of(caller int, task string) voter {
	return voter{caller: numbered(caller), queue: numbered(caller), task: task}
}

func at(address, caller int, task string) voter {
	return voter{caller: numbered(caller), queue: numbered(-address), task: task}
}

// send makes a request that ends with err, and reports whether it was admitted.
func send(b *breaker, v voter, err error) bool {
	admitted, refused := b.enter(v)
	if refused == nil {
		admitted.sent = true
		admitted.end(err)
	}
	return refused == nil
}

// fail makes enough failing requests to open a circuit, for as many tasks as given.
func fail(t *testing.T, b *breaker, q func(task string) voter, tasks int) {
	t.Helper()
	for i := range BreakerAttempts {
		if !send(b, q(fmt.Sprint("task-", i%tasks)), failure) {
			t.Fatalf("request %d is refused", i)
		}
	}
}
