package koodrivetest_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestDocumentedExample(t *testing.T) {
	c := serve(t, koodrivetest.New())
	resp, body := c.get(exampleID)
	want := `{"taskId":"1534087020903704704","taskName":"lym0412normal","taskType":0,` +
		`"tenantId":"d5ac574bd2934a69baa4f23c55daa8d4","userId":"1395497048157130881",` +
		`"status":3,"resultCode":"18000205","code":0,"msg":"成功"}`
	if resp.StatusCode != http.StatusOK || body != want {
		t.Errorf("got %s\n%s\nwant 200\n%s", resp.Status, body, want)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json;charset=UTF-8" {
		t.Errorf("Content-Type %q", got)
	}
}

func TestUnknownTask(t *testing.T) {
	k := koodrivetest.New()
	k.RemoveTask(exampleID)
	resp, body := serve(t, k).get(exampleID)
	if want := `{"code":13000309,"msg":"Resource not found."}`; resp.StatusCode != 400 || body != want {
		t.Errorf("got %s %s, want 400 %s", resp.Status, body, want)
	}
}

func TestRoutes(t *testing.T) {
	const none = "APIGW.0101"
	for _, tt := range []struct {
		method, path string
		status       int
		body         string // a part of it
		task         string // in the log
	}{
		{"GET", taskPath + exampleID, 200, `"status":3`, exampleID},
		{"GET", taskPath + exampleID + "?x=1", 200, `"status":3`, exampleID},
		{"GET", taskPath + "list", 200, "taskListDtos", ""},
		{"GET", taskPath + "list?pageSize=1", 200, "taskListDtos", ""},
		{"GET", taskPath + "result?taskId=1", 200, "successCount", ""},
		{"GET", taskPath + "dstUserInfo/1", 200, `"name"`, ""},
		{"GET", taskPath + "LIST", 400, "13000309", "LIST"},
		{"GET", taskPath + "..", 400, "13000309", ".."},
		{"GET", taskPath + "%2e%2e%2Fusers", 400, "13000309", "../users"},
		{"GET", taskPath + "../jobs", 404, none, ""},
		{"GET", taskPath + exampleID + "/", 404, none, ""},
		{"GET", taskPath + "/" + exampleID, 404, none, ""},
		{"GET", taskPath + "dstUserInfo/1/2", 404, none, ""},
		{"GET", taskPath + "create", 404, none, ""},
		{"GET", taskPath, 404, none, ""},
		{"GET", "/", 404, none, ""},
		{"GET", "//koodrive/ose/v1/task/1", 404, none, ""},
		{"POST", taskPath + exampleID, 404, none, ""},
		{"POST", taskPath + "list", 404, none, ""},
		{"DELETE", taskPath + exampleID, 404, none, ""},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			k := koodrivetest.New()
			c := serve(t, k)
			resp, body := c.do(c.request(tt.method, tt.path, ""))
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("got %s %s, want %d and %s", resp.Status, body, tt.status, tt.body)
			}
			got := k.Requests()[0]
			if got.Method != tt.method || got.Path != tt.path || got.TaskID != tt.task || got.Status != tt.status {
				t.Errorf("logged %+v", got)
			}
		})
	}
}

func TestGatewayBody(t *testing.T) {
	c := serve(t, koodrivetest.New())
	_, body := c.do(c.request("GET", "/elsewhere", ""))
	want := regexp.MustCompile(`^\{"error_code":"APIGW\.0101","error_msg":"The API does not exist or has not been ` +
		`published in the environment\.","request_id":"[0-9a-f]{32}"\}$`)
	if !want.MatchString(body) {
		t.Errorf("got %s", body)
	}
}

func TestLargeRequest(t *testing.T) {
	c := serve(t, koodrivetest.New())
	resp, body := c.do(c.request("POST", taskPath+"create", strings.Repeat(" ", 64<<10+1)))
	if resp.StatusCode != 413 || !strings.Contains(body, "APIGW.0201") {
		t.Errorf("got %s %s", resp.Status, body)
	}
}

func TestDateFollowsSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		c := serve(t, k)
		for _, skew := range []time.Duration{0, 10 * time.Minute, -time.Hour} {
			k.SetSkew(skew)
			for _, path := range []string{taskPath + exampleID, "/elsewhere"} {
				resp, _ := c.do(c.request("GET", path, ""))
				want := time.Now().Add(skew).UTC().Format(http.TimeFormat)
				if got := resp.Header.Get("Date"); got != want {
					t.Errorf("skew %v, %s: Date %q, want %q", skew, path, got, want)
				}
			}
		}
	})
}
