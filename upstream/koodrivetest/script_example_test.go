package koodrivetest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A task that is executing once and then succeeds.
func ExampleParseScript() {
	script, err := koodrivetest.ParseScript([]byte(`{
		"tokens": [{"token": "ci-token"}],
		"tasks": [{"id": "1534087020903705001", "steps": [{"status": "EXECUTING"}, {"status": "SUCCESS"}]}]
	}`))
	if err != nil {
		panic(err)
	}
	koodrive := koodrivetest.New()
	koodrive.Apply(script)
	server := httptest.NewServer(koodrive)
	defer server.Close()

	for range 2 {
		r, err := http.NewRequest("GET", server.URL+"/koodrive/ose/v1/task/1534087020903705001", nil)
		if err != nil {
			panic(err)
		}
		r.Header.Set("Authorization", "Bearer ci-token")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%s\n", body)
	}
	fmt.Println(len(koodrive.Requests()), "requests")
	// Output:
	// {"taskId":"1534087020903705001","status":1,"code":0,"msg":"成功"}
	// {"taskId":"1534087020903705001","status":2,"code":0,"msg":"成功"}
	// 2 requests
}

// The control in front of a KooDrive, and a fault that begins over HTTP.
func ExampleKooDrive_Control() {
	koodrive := koodrivetest.New()
	control := koodrive.Control()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/simulate/") {
			control.ServeHTTP(w, r)
			return
		}
		koodrive.ServeHTTP(w, r)
	}))
	defer server.Close()

	for _, fault := range []string{`{"status": "502"}`, `{"status": 502, "body": ""}`} {
		r, err := http.NewRequest("PUT", server.URL+"/simulate/fault", strings.NewReader(fault))
		if err != nil {
			panic(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, body)))
	}
	resp, err := http.Get(server.URL + "/koodrive/ose/v1/task/1")
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output:
	// 400 line 1: /status: must be a 64-bit integer
	// 204
	// 502
}
