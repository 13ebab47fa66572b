package watch

// fifo is a queue. Its zero value is empty.
type fifo[T any] struct {
	items []T
	first int // Index of the next item.
}

func (q *fifo[T]) len() int { return len(q.items) - q.first }

func (q *fifo[T]) push(item T) {
	if len(q.items) == cap(q.items) && q.first > len(q.items)/2 { // Use the room at the front instead of growing.
		q.items, q.first = append(q.items[:0], q.items[q.first:]...), 0
	}
	q.items = append(q.items, item)
}

// pop returns the oldest item, and false if there is none.
func (q *fifo[T]) pop() (item T, ok bool) {
	if q.len() == 0 {
		return item, false
	}
	var none T
	item, q.items[q.first] = q.items[q.first], none
	if q.first++; q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
	return item, true
}
