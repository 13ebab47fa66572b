package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// taskIDs are ids of tasks. In a scenario they are an array, or an object such as {first: "1534087020903705001", count: 250}
// for ids that are consecutive numbers.
type taskIDs []string

// UnmarshalJSON implements [json.Unmarshaler].
func (ids *taskIDs) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		return json.Unmarshal(text, (*[]string)(ids))
	}
	var row struct {
		First string
		Count int
	}
	if err := strictly(text, &row); err != nil {
		return err
	}
	first, err := strconv.ParseUint(row.First, 10, 64)
	if err != nil {
		return fmt.Errorf("the first id: %w", err)
	}
	*ids = nil
	for i := range row.Count {
		*ids = append(*ids, strconv.FormatUint(first+uint64(i), 10))
	}
	return nil
}

// sameIDs reports whether two lists of ids are equal but for their order. An empty list differs from none.
func sameIDs(a, b []string) bool {
	return (a == nil) == (b == nil) && slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// idOf returns the id of a task in JSON; empty if it has none.
func idOf(task json.RawMessage) string {
	var t struct{ TaskID string }
	_ = json.Unmarshal(task, &t) // Comparing the task reports the error.
	return t.TaskID
}

// withID returns a task in JSON with this id.
func withID(task json.RawMessage, id string) (json.RawMessage, error) {
	var fields map[string]any
	if err := json.Unmarshal(task, &fields); err != nil {
		return nil, err
	}
	fields["taskId"] = id
	return json.Marshal(fields)
}

// compareAnyOrder is [compare] where the order of different tasks is not defined. It compares the lines of each task in
// order, and the other lines without an order.
func compareAnyOrder(want []expected, got []line, heartbeats bool) error {
	wanted, lines := map[string][]expected{}, map[string][]line{}
	for _, e := range want {
		wanted[e.taskID()] = append(wanted[e.taskID()], e)
	}
	for _, l := range got {
		lines[l.taskID()] = append(lines[l.taskID()], l)
	}
	if err := compareOthers(wanted[""], lines[""], heartbeats); err != nil {
		return err
	}
	delete(wanted, "")
	delete(lines, "")
	for id := range lines {
		if wanted[id] == nil {
			return fmt.Errorf("task %q is not expected", id)
		}
	}
	for id := range wanted {
		if err := compare(wanted[id], lines[id], false); err != nil {
			return fmt.Errorf("task %q: %w", id, err)
		}
	}
	return nil
}

// taskID returns the id of the task that the line is about; empty for lines about several tasks or about the call.
func (e expected) taskID() string {
	switch {
	case e.Dropped != nil:
		return e.Dropped.TaskID
	case e.Task != nil:
		return idOf(e.Task)
	default:
		return ""
	}
}

// compareOthers compares lines without an order. Each line takes the first expectation that it matches.
func compareOthers(want []expected, got []line, heartbeats bool) error {
	met := make([]bool, len(want))
	find := func(l line) int {
		for i, e := range want {
			if (!met[i] || e.Repeated) && e.matches(l) == nil {
				return i
			}
		}
		return -1
	}
	for _, l := range got {
		switch i := find(l); {
		case i >= 0:
			met[i] = true
		case !heartbeats || l.Heartbeat == nil:
			return fmt.Errorf("%s is not as expected: %.1000s", l.kind(), show(l))
		}
	}
	if i := slices.Index(met, false); i >= 0 {
		return fmt.Errorf("%s is missing: %s", want[i].kind(), show(want[i]))
	}
	return nil
}
