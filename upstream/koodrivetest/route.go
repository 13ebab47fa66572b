package koodrivetest

import (
	"net/http"
	"net/url"
	"strings"
)

// operation is one of KooDrive's task operations.
type operation int

const (
	opNone operation = iota
	opDetail
	opCreate
	opList
	opResult
	opReceiver
)

// route returns the operation of a request and, for a task's detail, the task's id. It uses the path as received,
// without cleaning or redirecting it, to expose a client that puts a hostile id into its URL.
func route(r *http.Request) (op operation, id string) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/koodrive/ose/v1/task/")
	switch {
	case !ok || rest == "":
		return opNone, ""
	case rest == "create":
		return only(opCreate, r.Method == http.MethodPost), ""
	case r.Method != http.MethodGet:
		return opNone, ""
	case rest == "list":
		return opList, ""
	case rest == "result":
		return opResult, ""
	}
	if user, ok := strings.CutPrefix(rest, "dstUserInfo/"); ok {
		return only(opReceiver, isSegment(user)), ""
	}
	if id, err := url.PathUnescape(rest); err == nil && isSegment(rest) {
		return opDetail, id
	}
	return opNone, ""
}

// only returns op if ok is set, otherwise opNone.
func only(op operation, ok bool) operation {
	if !ok {
		return opNone
	}
	return op
}

// isSegment reports whether rest is exactly one path segment. An escaped slash is part of a segment.
func isSegment(rest string) bool { return rest != "" && !strings.Contains(rest, "/") }
