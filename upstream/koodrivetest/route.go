package koodrivetest

import (
	"net/http"
	"net/url"
	"strings"
)

// operation is one of those that KooDrive has for tasks.
type operation int

const (
	opNone operation = iota
	opDetail
	opCreate
	opList
	opResult
	opReceiver
)

// route finds the operation a request is for and, if that is a task's detail, the task's id. It looks at the path as it
// came: nothing is cleaned or redirected, so that a client which lets a hostile id into its URL is seen to do so.
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

// only is op if ok holds, else no operation.
func only(op operation, ok bool) operation {
	if !ok {
		return opNone
	}
	return op
}

// isSegment reports whether a path's rest is exactly one segment. An escaped slash is part of its segment.
func isSegment(rest string) bool { return rest != "" && !strings.Contains(rest, "/") }
