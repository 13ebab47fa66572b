// Package taskid has the syntax of task ids, with which kootask recognises an id before it sends or logs it. It does
// not know the reserved names of KooDrive's other routes: they may be logged, but upstream.CheckTaskID refuses them.
//
//	if !taskid.Valid(id) {
//		id = "" // It may be anything, a token too.
//	}
package taskid

import "strings"

// MaxLength is the length of the longest id, in characters. KooDrive's own have 19.
const MaxLength = 64

// Valid reports whether id has 1 to [MaxLength] characters of A-Z, a-z, 0-9, _ and -.
func Valid(id string) bool {
	if id == "" || len(id) > MaxLength {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// operations is what the name of an operation begins with.
const operations = "operations/"

// OfOperation returns the task id in the name of a google.longrunning operation, which is operations/{task_id}. It does not
// check the id. Without the prefix, the id is empty.
func OfOperation(name string) (id string, ok bool) {
	if !strings.HasPrefix(name, operations) {
		return "", false
	}
	return name[len(operations):], true
}
