package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// canary is in every text of KooDrive, and must never be shown. It needs no escaping in JSON.
const canary = "canary-10.1.2.3-geheim <&>'+/"

type outcomeRow struct {
	fault    *koodrivetest.Fault
	code     codes.Code
	reason   string
	http     int
	retry    bool
	upstream string // upstreamStatus and upstreamCode; empty: absent.
}

func body(status int, body string) *koodrivetest.Fault {
	f := koodrivetest.Answer(status, body)
	f.Header = http.Header{"Location": {"http://" + canary}, "X-Debug": {canary}}
	return f
}

// code is an error in KooDrive's envelope; apig is one of its API gateway.
func code(status int, code string) *koodrivetest.Fault {
	return body(status, `{"code":`+code+`,"msg":"`+canary+`"}`)
}

func apig(status int, code string) *koodrivetest.Fault {
	return body(status, `{"error_msg":"`+canary+`","error_code":"`+code+`","request_id":"`+canary+`"}`)
}

// answer is a 200 with these fields, beside the required ones of a task.
func answer(fields string) *koodrivetest.Fault {
	return body(http.StatusOK, `{"taskName":"`+koodrivetest.Example().Name+`",`+fields+`}`)
}

const id = `"taskId":"` + taskID + `"`

// oddNames is an object whose field names must never be shown.
var oddNames = fmt.Sprintf(`{%q:1,%q:2,%q:3,%q:4,%q:5,"newField":[%q]}`,
	canary, token, "Bearer "+token[:16], atToken, koodrivetest.Example().UserID, canary)

var outcomeRows = map[string]outcomeRow{
	"401":                       {body(401, canary), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "401 "},
	"401 with not found":        {code(401, "13000309"), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "401 13000309"},
	"401 APIGW.0301":            {apig(401, "APIGW.0301"), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "401 APIGW.0301"},
	"400 APIG.0307":             {apig(400, "APIG.0307"), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "400 APIG.0307"},
	"400 without a code":        {body(400, canary), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "400 "},
	"403":                       {body(403, canary), codes.PermissionDenied, "UPSTREAM_PERMISSION_DENIED", 403, false, "403 "},
	"403 with not found":        {code(403, "13000309"), codes.PermissionDenied, "UPSTREAM_PERMISSION_DENIED", 403, false, "403 13000309"},
	"400 no permission":         {code(400, "13000410"), codes.PermissionDenied, "UPSTREAM_PERMISSION_DENIED", 403, false, "400 13000410"},
	"200 APIG.0302":             {apig(200, "APIG.0302"), codes.PermissionDenied, "UPSTREAM_PERMISSION_DENIED", 403, false, "200 APIG.0302"},
	"400 not found":             {code(400, "13000309"), codes.NotFound, "TASK_NOT_FOUND", 404, false, "400 13000309"},
	"404 not found":             {code(404, `"13000309"`), codes.NotFound, "TASK_NOT_FOUND", 404, false, "404 13000309"},
	"500 not found":             {code(500, "13000309"), codes.NotFound, "TASK_NOT_FOUND", 404, false, "500 13000309"},
	"400 bad parameter":         {code(400, "13000102"), codes.InvalidArgument, "REQUEST_INVALID", 400, false, ""},
	"200 bad request":           {code(200, `"13000101"`), codes.InvalidArgument, "REQUEST_INVALID", 400, false, ""},
	"200 inner failure":         {code(200, "13000201"), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "200 13000201"},
	"400 other code":            {code(400, "13000301"), codes.Unknown, "UPSTREAM_BUSINESS_ERROR", 500, false, "400 13000301"},
	"200 other code":            {code(200, "18000205"), codes.Unknown, "UPSTREAM_BUSINESS_ERROR", 500, false, "200 18000205"},
	"404 other code":            {code(404, "13000401"), codes.Unknown, "UPSTREAM_BUSINESS_ERROR", 500, false, "404 13000401"},
	"400 negative code":         {code(400, "-1"), codes.Unknown, "UPSTREAM_BUSINESS_ERROR", 500, false, "400 "},
	"201 not found":             {code(201, "13000309"), codes.NotFound, "TASK_NOT_FOUND", 404, false, "201 13000309"},
	"206 APIG.0308":             {apig(206, "APIG.0308"), codes.ResourceExhausted, "UPSTREAM_RATE_LIMITED", 429, true, "206 APIG.0308"},
	"201 other code":            {code(201, "13000301"), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "201 13000301"},
	"401 cut off":               {&koodrivetest.Fault{Status: 401, Truncate: true, Body: new(`{"code":13000309}`)}, codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "401 "},
	"404":                       {body(404, canary), codes.Internal, "SERVER_MISCONFIGURED", 500, false, ""},
	"404 APIGW.0101":            {apig(404, "APIGW.0101"), codes.Internal, "SERVER_MISCONFIGURED", 500, false, ""},
	"500 APIG.0103":             {apig(500, "APIG.0103"), codes.Internal, "SERVER_MISCONFIGURED", 500, false, ""},
	"405":                       {body(405, canary), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "405 "},
	"413 APIGW.0201":            {apig(413, "APIGW.0201"), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "413 APIGW.0201"},
	"418":                       {body(418, canary), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "418 "},
	"501":                       {body(501, canary), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "501 "},
	"408":                       {body(408, canary), codes.Unavailable, "UPSTREAM_TIMEOUT", 503, true, "408 "},
	"425":                       {body(425, canary), codes.Unavailable, "UPSTREAM_TIMEOUT", 503, true, "425 "},
	"429":                       {body(429, canary), codes.ResourceExhausted, "UPSTREAM_RATE_LIMITED", 429, true, "429 "},
	"200 APIG.0308":             {apig(200, "APIG.0308"), codes.ResourceExhausted, "UPSTREAM_RATE_LIMITED", 429, true, "200 APIG.0308"},
	"301":                       {body(301, canary), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "301 "},
	"307":                       {body(307, canary), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "307 "},
	"500":                       {body(500, canary), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "500 "},
	"502 APIGW.0201":            {apig(502, "APIGW.0201"), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "502 APIGW.0201"},
	"503":                       {body(503, canary), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "503 "},
	"504":                       {body(504, canary), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "504 "},
	"599":                       {body(599, canary), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "599 "},
	"204":                       {body(204, ""), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "204 "},
	"206":                       {body(206, `{`+id+`,"status":1,"code":0}`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "206 "},
	"200 empty object":          {body(200, `{}`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 null":                  {body(200, `null`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 status null":           {answer(id + `,"status":null,"code":0`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 status beyond int32":   {answer(id + `,"status":2147483648,"code":0`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 without a code":        {answer(id + `,"status":1`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 without an id":         {answer(`"status":1,"code":0`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 status twice":          {answer(id + `,"status":1,"status":2,"code":0`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 another task":          {answer(`"taskId":"` + exampleID + `","status":1,"code":0`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 too large":             {&koodrivetest.Fault{Pad: upstream.MaxBody + 1}, codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 a bomb":                {&koodrivetest.Fault{Pad: 2 << 20, Gzip: true}, codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 a large header":        {&koodrivetest.Fault{Header: http.Header{"X": {strings.Repeat("x", 40<<10)}}}, codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, " "},
	"200 names":                 {body(200, oddNames), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 names, cut off":        {body(200, oddNames[:len(oddNames)-1]), codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"400 names":                 {body(400, oddNames), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "400 "},
	"200 an array":              {body(200, `["`+canary+`"]`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 a string":              {body(200, `"`+canary+`"`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 not JSON":              {body(200, "<html>"+canary), codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"200 empty":                 {body(200, ""), codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"200 trailing bytes":        {body(200, `{`+id+`,"status":1,"code":0}`+canary), codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"200 not UTF-8":             {answer(id + `,"status":1,"code":0,"userId":"` + "\xff" + `"`), codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"200 cut off":               {&koodrivetest.Fault{Truncate: true}, codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"200 gzip in name":          {&koodrivetest.Fault{Header: http.Header{"Content-Encoding": {"gzip"}}}, codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"connection reset":          {&koodrivetest.Fault{Reset: true}, codes.Unavailable, "UPSTREAM_UNREACHABLE", 503, true, " "},
	"a code that is like prose": {apig(401, "Bad token "+canary), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "401 "},
}

// check compares a verdict with its row.
func (row outcomeRow) check(t *testing.T, door string, v verdict) {
	t.Helper()
	if v.code != row.code || v.reason != row.reason || v.http != 0 && v.http != row.http {
		t.Errorf("%s: %v %s %d, want %v %s %d", door, v.code, v.reason, v.http, row.code, row.reason, row.http)
	}
	if (v.retry != nil) != row.retry {
		t.Errorf("%s: RetryInfo %v", door, v.retry)
	}
	var want map[string]string
	if row.upstream != "" {
		status, code, _ := strings.Cut(row.upstream, " ")
		want = map[string]string{"upstreamStatus": status, "upstreamCode": code}
	}
	if !maps.Equal(v.metadata, want) {
		t.Errorf("%s: metadata %v, want %v", door, v.metadata, want)
	}
	for _, leak := range []string{canary, network, "koodrive.test", "dial", "http://", "/koodrive/", token} {
		if strings.Contains(v.everything, leak) {
			t.Errorf("%s: the caller sees %q in %s", door, leak, v.everything)
		}
	}
	if v.http == http.StatusUnauthorized && v.header.Get("WWW-Authenticate") != `Bearer realm="KooDrive"` {
		t.Errorf("%s: WWW-Authenticate %q", door, v.header.Get("WWW-Authenticate"))
	}
}

// bearer is the header of a valid credential.
var bearer = []string{"authorization", "Bearer " + token}

func appMode(key string) func(*server.Config) {
	return func(c *server.Config) {
		c.Service.App = &upstream.App{ID: "app", Secrets: upstream.FixedSecrets(secret.New(key))}
	}
}
