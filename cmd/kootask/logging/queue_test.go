package logging_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/kootask/kootask/cmd/kootask/logging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file is the destination of a log. While stuck is set, writes wait for it to be closed.
type file struct {
	stuck chan struct{}

	mu     sync.Mutex
	text   bytes.Buffer // Guarded by mu, as are the rest.
	writes int
	err    error
	room   int // Bytes of a write that fails.
}

func (f *file) Write(p []byte) (int, error) {
	if f.stuck != nil {
		<-f.stuck
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.err != nil {
		n, _ := f.text.Write(p[:min(f.room, len(p))])
		return n, f.err
	}
	return f.text.Write(p)
}

func (f *file) fail(err error, room int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.room = err, room
}

// written is a line of the log.
type written struct {
	Level, Msg, Peer, Outcome string
	N                         int
	LeftOut                   int `json:"left_out"`
	Other, Call, Audit        int
}

// lines are the complete lines of the file, without the ones that only count. A line that cannot be parsed broke off.
func (f *file) lines() (all []written, broken int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for text := range strings.Lines(f.text.String()) {
		var l written
		if json.Unmarshal([]byte(text), &l) != nil {
			broken++
			continue
		}
		all = append(all, l)
	}
	return all, broken
}

func open(f *file) *logging.Log {
	return logging.New(f, func(to io.Writer) slog.Handler { return slog.NewJSONHandler(to, nil) })
}

// dropped is the metric of dropped lines.
func dropped(t *testing.T, log *logging.Log) map[string]int {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(log)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "kootask_log_dropped_total" {
		t.Fatalf("%v, %v", families, err)
	}
	all := map[string]int{}
	for _, m := range families[0].GetMetric() {
		all[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
	}
	return all
}

// padding makes lines of 1 KiB.
var padding = strings.Repeat("x", 950)

// A log that nobody reads delays no caller and uses bounded memory. When it is read again, every line is there or counted.
func TestStuckReaderDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &file{stuck: make(chan struct{})}
		time.AfterFunc(time.Hour, func() { close(f.stuck) })
		log, start := open(f), time.Now()
		const lines = 10_000
		for i := range lines {
			log.Info("line", "n", i, "padding", padding)
		}
		if time.Since(start) != 0 {
			t.Errorf("writing took %v", time.Since(start))
		}
		lost := dropped(t, log)["other"]
		if kept := (lines - lost) << 10; kept > logging.QueueBytes || kept < logging.QueueBytes/2 {
			t.Errorf("%d KiB wait", kept>>10)
		}
		if log.Flush(2*time.Second) || time.Since(start) != 2*time.Second {
			t.Errorf("the flush took %v", time.Since(start))
		}
		if !log.Flush(2 * time.Hour) {
			t.Error("the log is not flushed")
		}
		log.Info("later", "n", lines)
		log.Flush(time.Second)
		all, broken := f.lines()
		last, read, told := -1, 0, 0
		for _, l := range all {
			if told += l.Other; l.Msg != "log lines dropped" {
				if read++; l.N <= last {
					t.Fatalf("line %d comes after line %d", l.N, last)
				}
				last = l.N
			}
		}
		if broken != 0 || read+lost != lines+1 || told != lost || last != lines {
			t.Errorf("%d lines are read, %d broken, %d reported lost of %d; the last one is %d", read, broken, told, lost, last)
		}
	})
}

// A line is written at once; queued lines share writes.
func TestLinesAreWrittenAtOnceAndTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &file{}
		log, start := open(f), time.Now()
		log.Info("one")
		synctest.Wait()
		if all, _ := f.lines(); len(all) != 1 || time.Since(start) != 0 {
			t.Fatalf("%d lines after %v", len(all), time.Since(start))
		}
		f.stuck = make(chan struct{})
		for range 101 {
			log.Info("more")
			synctest.Wait()
		}
		close(f.stuck)
		synctest.Wait()
		if all, _ := f.lines(); len(all) != 102 || f.writes != 3 {
			t.Errorf("%d lines in %d writes", len(all), f.writes)
		}
	})
}

// A quarter of the queue is reserved for audit lines, which can fill all of it but no more.
func TestAuditLinesHaveRoomOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &file{stuck: make(chan struct{})}
		log := open(f)
		fill := func(msg string, attrs ...any) {
			for range 10_000 {
				log.Info(msg, append(attrs, "padding", padding)...)
			}
		}
		fill("call", "peer", "192.0.2.1")
		before := dropped(t, log)
		for range logging.AuditReserve/1024 - 100 {
			log.Info("audit", "peer", "192.0.2.1", "outcome", "OK", "padding", padding)
		}
		if got := dropped(t, log); got["audit"] != 0 || before["call"] == 0 || got["call"] != before["call"] {
			t.Errorf("dropped %v, then %v", before, got)
		}
		fill("audit")
		if got := dropped(t, log); got["audit"] == 0 {
			t.Errorf("dropped %v", got)
		}
		log.Info("start", "padding", padding)
		if got := dropped(t, log); got["other"] != 1 {
			t.Errorf("dropped %v", got)
		}
		close(f.stuck)
		log.Flush(time.Second)
		if size := f.text.Len(); size < logging.QueueBytes*9/10 || size > logging.QueueBytes*11/10 {
			t.Errorf("%d bytes waited", size)
		}
	})
}

// A failed write loses only its own lines: the next ones are written, and count the loss.
func TestWriteErrorsEndNothing(t *testing.T) {
	for _, err := range []error{syscall.EPIPE, syscall.ENOSPC, syscall.EIO} {
		for _, room := range []int{0, 10} {
			t.Run(fmt.Sprint(err, " after ", room), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &file{}
					log := open(f)
					log.Info("before", "n", 1)
					synctest.Wait()
					f.fail(err, room)
					for i := range 3 {
						log.Info("lost", "n", i)
						log.Warn("audit", "n", i)
						synctest.Wait()
					}
					f.fail(nil, 0)
					log.Info("after", "n", 2)
					log.Flush(time.Second)
					all, broken := f.lines()
					if len(all) != 3 || all[0].N != 1 || all[1].Msg != "log lines dropped" || all[1].Level != "WARN" || all[2].N != 2 {
						t.Fatalf("%+v, %d broken\n%s", all, broken, f.text.String())
					}
					if got := dropped(t, log); got["other"] != 3 || got["audit"] != 3 || all[1].Other != 3 || all[1].Audit != 3 {
						t.Errorf("dropped %v, and the log says %+v", got, all[1])
					}
				})
			})
		}
	}
}

// Lines keep their texts while later ones are added, however long they are, whether the file takes them at once or not.
func TestLinesKeepTheirTexts(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := &file{}
			if stuck {
				f.stuck = make(chan struct{})
			}
			log := open(f)
			const n = 200
			text := func(i int) string { // Of up to 4,000 bytes, and now and then of more than a write.
				length := i * 20
				if i%100 == 50 {
					length = 100_000
				}
				return strings.Repeat(fmt.Sprint(i%10), length)
			}
			for i := range n {
				log.Info(text(i), "n", i)
				if i%7 == 0 && !stuck {
					synctest.Wait() // The queue is idle now and then.
				}
			}
			if stuck {
				close(f.stuck)
			}
			log.Flush(time.Minute)
			all, broken := f.lines()
			if broken > 0 || len(all) != n {
				t.Fatalf("stuck: %v: %d lines, %d broken", stuck, len(all), broken)
			}
			for _, l := range all {
				if l.Msg != text(l.N) {
					t.Fatalf("stuck: %v: line %d has another text", stuck, l.N)
				}
			}
		})
	}
}
