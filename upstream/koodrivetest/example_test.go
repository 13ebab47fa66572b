package koodrivetest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A task that is executing once, is out of reach once, and then succeeds.
func Example() {
	koodrive := koodrivetest.New()
	koodrive.AddToken("secret", 20*time.Minute)
	koodrive.SetTask(koodrivetest.Task{ID: "1534087020903704705", Steps: []koodrivetest.Step{
		{Status: koodrivetest.StatusExecuting},
		{Fault: koodrivetest.Answer(http.StatusBadGateway, "<html>Bad Gateway</html>")},
		{Status: koodrivetest.StatusSuccess},
	}})
	server := httptest.NewServer(koodrive)
	defer server.Close()

	for range 3 {
		r, err := http.NewRequest("GET", server.URL+"/koodrive/ose/v1/task/1534087020903704705", nil)
		if err != nil {
			panic(err)
		}
		r.Header.Set("Authorization", "Bearer secret")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%d %s\n", resp.StatusCode, body)
	}
	fmt.Println(koodrive.Count(), "requests")
	// Output:
	// 200 {"taskId":"1534087020903704705","status":1,"code":0,"msg":"成功"}
	// 502 <html>Bad Gateway</html>
	// 200 {"taskId":"1534087020903704705","status":2,"code":0,"msg":"成功"}
	// 3 requests
}
