package logging

import (
	"io"
	"runtime"
	"sync"
	"time"
)

const (
	// QueueBytes limits the total size of the lines that wait or are being written, in bytes.
	QueueBytes = 8 << 20
	// AuditReserve is the part of QueueBytes that is reserved for audit lines.
	AuditReserve = QueueBytes / 4

	// batchBytes limits the size of one write, unless a single line is longer. It is the capacity of a pipe on Linux:
	// larger writes would not be faster, and would free the queue later.
	batchBytes = 64 << 10
)

// counts are numbers of lines by kind.
type counts [kinds]int

// queue holds the lines that wait for the file. Its writer goroutine starts with the first line and ends with the last,
// so an idle queue costs nothing. A blocked write cannot be cancelled; flush stops waiting for it.
type queue struct {
	to     io.Writer
	notice func(lost counts) []byte // Returns the line about dropped lines.
	text   []byte                   // The buffer of a write. Only the writer uses it and torn.
	torn   bool                     // The last write ended within a line.

	mu      sync.Mutex
	lines   []line        // The waiting lines, oldest first. Guarded by mu, as are the fields below.
	room    []byte        // The texts of the last lines, and room for more.
	bytes   [kinds]int    // Size of the lines that wait or are being written.
	lost    counts        // Dropped lines that were not reported yet.
	dropped counts        // Dropped lines in all.
	idle    chan struct{} // Closed by the writer at its end; nil while there is no writer.
}

type line struct {
	kind kind
	text []byte
}

// entrance is the writer of a handler, for lines of one kind.
type entrance struct {
	queue *queue
	kind  kind
}

// Write queues one line. It never fails: a line without room is dropped and counted.
func (e entrance) Write(text []byte) (int, error) {
	e.queue.add(e.kind, text)
	return len(text), nil
}

func (q *queue) add(k kind, text []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.fitsLocked(k, len(text)) {
		q.dropLocked(k)
		return
	}
	if len(text) > cap(q.room)-len(q.room) { // The lines in the old room keep it.
		q.room = make([]byte, 0, max(batchBytes, len(text)))
	}
	start := len(q.room)
	q.room = append(q.room, text...)
	q.lines = append(q.lines, line{k, q.room[start:len(q.room):len(q.room)]})
	q.bytes[k] += len(text)
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.write(q.idle)
	}
}

// fitsLocked reports whether a line fits into the queue. AuditReserve keeps other lines from crowding out audit lines.
func (q *queue) fitsLocked(k kind, size int) bool {
	rest := q.bytes[call] + q.bytes[other]
	if rest+q.bytes[audit]+size > QueueBytes {
		return false
	}
	return k == audit || rest+size <= QueueBytes-AuditReserve
}

func (q *queue) dropLocked(k kind) {
	q.lost[k]++
	q.dropped[k]++
}

// write writes lines until the queue is empty, and then closes idle. Only one goroutine at a time runs it.
func (q *queue) write(idle chan struct{}) {
	defer close(idle)
	for {
		runtime.Gosched() // Calls that are about to end add their lines to this write.
		batch, lost := q.take()
		if batch == nil {
			return
		}
		text := q.text[:0]
		if q.torn {
			text = append(text, '\n')
		}
		if lost != (counts{}) {
			text = append(text, q.notice(lost)...)
		}
		head := len(text)
		for _, l := range batch {
			text = append(text, l.text...)
		}
		n, err := q.to.Write(text)
		if n > 0 {
			q.torn = err != nil && text[n-1] != '\n'
		}
		if n >= head {
			q.reported(lost)
		}
		q.written(batch, n-head)
		q.text = text
	}
}

// take returns the next lines to write, and the counts of those dropped before. Without lines, it ends the writer.
func (q *queue) take() (batch []line, lost counts) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	for i, l := range q.lines {
		if size += len(l.text); size > batchBytes && i > 0 {
			break
		}
		batch = q.lines[:i+1]
	}
	q.lines = q.lines[len(batch):]
	if batch == nil {
		q.lines, q.idle = nil, nil
		if q.room = q.room[:0]; cap(q.room) > batchBytes {
			q.room = nil
		}
	}
	return batch, q.lost
}

// reported subtracts dropped lines that the log has reported.
func (q *queue) reported(lost counts) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for k, n := range lost {
		q.lost[k] -= n
	}
}

// written frees the space of a batch. Lines that end after the first n bytes count as dropped.
func (q *queue) written(batch []line, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, l := range batch {
		q.bytes[l.kind] -= len(l.text)
		if n -= len(l.text); n < 0 {
			q.dropLocked(l.kind)
		}
		batch[i] = line{} // Free the text: the array lives until the queue is empty.
	}
}

// flush waits for the writer's end, for at most limit, and reports whether it has ended.
func (q *queue) flush(limit time.Duration) bool {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return true
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}

// droppedLines returns the number of dropped lines so far.
func (q *queue) droppedLines() counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
