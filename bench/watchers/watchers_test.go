package main

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/kootask/kootask/bench/task"
	"github.com/kootask/kootask/bench/wire"
)

// Messages are found however they are cut.
func TestMessages(t *testing.T) {
	all := slices.Concat(wire.Message([]byte("one")), wire.Message(nil), wire.Message([]byte("three")))
	for size := 1; size <= len(all); size++ {
		var m messages
		var got []string
		for part := range slices.Chunk(all, size) {
			m.add(part, func(message []byte) { got = append(got, string(message)) })
		}
		if !slices.Equal(got, []string{"one", "", "three"}) {
			t.Errorf("in parts of %d bytes: %q", size, got)
		}
	}
}

// A change counts once for each connection, even if it arrives in two parts, and only the awaited one counts.
func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchers(options{n: 1, waitForFirst: true}, nil)
		ours, theirs := net.Pipe()
		go w.readLines(ours)
		send := func(text string) {
			t.Helper()
			if _, err := theirs.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		send("HTTP/1.1 200 OK\r\n\r\ndata: " + task.Token(0) + "\n\n")
		if w.opened.Load() != 1 {
			t.Error("it is not open")
		}
		r := newRound(7, 1, w.failed)
		w.now.Store(r)
		send("data: " + task.Token(6) + "\n\n")
		if r.seen.Load() != 0 {
			t.Error("another change counts")
		}
		token := task.Token(7)
		send("data: " + token[:3])
		send(token[3:] + "\n\n")
		if r.seen.Load() != 1 || r.at[0].IsZero() {
			t.Errorf("the change was seen %d times", r.seen.Load())
		}
		_ = theirs.Close()
		synctest.Wait()
		if w.ended.Load() != 1 || w.reason() == "" {
			t.Error("the end was not noticed")
		}
		if err := r.seen.await(2); err == nil {
			t.Error("it waits for a watcher that has ended")
		}
	})
}

// The streams of a connection are opened one after the other, unless they are opened in random order.
func TestPlaces(t *testing.T) {
	w := &watchers{options: options{n: 1000, conns: 4}}
	grouped := w.places()
	if !slices.IsSorted(grouped) {
		t.Errorf("%v", grouped)
	}
	w.random = true
	random := w.places()
	if slices.IsSorted(random) {
		t.Errorf("%v", random)
	}
	if slices.Sort(random); !slices.Equal(random, grouped) {
		t.Error("the connections have other numbers of streams")
	}
}
