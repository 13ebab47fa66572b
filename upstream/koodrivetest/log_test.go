package koodrivetest_test

import (
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := faulty(&koodrivetest.Fault{Latency: time.Second})
		c := serve(t, k)
		start := time.Now()
		go c.do(c.request("GET", taskPath+"1?a=%20", "", "X-User-Id", "7"))
		synctest.Wait()
		got := k.Requests()[0]
		if !got.Ended.IsZero() || got.Status != 0 || got.InFlight != 1 {
			t.Errorf("while being answered: %+v", got)
		}
		time.Sleep(2 * time.Second)
		got = k.Requests()[0]
		if !got.Received.Equal(start) || !got.Ended.Equal(start.Add(time.Second)) || got.Status != 200 {
			t.Errorf("times and status: %+v", got)
		}
		if got.Method != "GET" || got.Host != "koodrive.test" || got.Path != taskPath+"1?a=%20" || got.TaskID != "1" ||
			got.Header.Get("X-User-Id") != "7" {
			t.Errorf("request: %+v", got)
		}
	})
}

func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := faulty(&koodrivetest.Fault{Latency: time.Second})
		k.AddToken("other", 0)
		c := serve(t, k)
		var wait sync.WaitGroup
		for _, tt := range []struct {
			path, token, user string
			want              int
		}{
			{taskPath + "1", "test", "", 1},
			{taskPath + "1", "test", "", 2},
			{taskPath + "1", "other", "", 1},
			{taskPath + "1", "test", "7", 1},
			{taskPath + "1?x", "test", "", 3},
			{taskPath + "list", "test", "", 0},
		} {
			wait.Go(func() {
				c.do(c.request("GET", tt.path, "", "Authorization", "Bearer "+tt.token, "X-User-Id", tt.user))
			})
			synctest.Wait()
			if got := k.Requests()[k.Count()-1].InFlight; got != tt.want {
				t.Errorf("%+v: %d in flight", tt, got)
			}
		}
		wait.Wait()
		c.get("1")
		if got := k.Requests()[k.Count()-1].InFlight; got != 1 {
			t.Errorf("after all had ended: %d in flight", got)
		}
	})
}

func TestLogIsBounded(t *testing.T) {
	const more = 5
	k := koodrivetest.New()
	for i := range 10_000 + more {
		k.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/"+strconv.Itoa(i), nil))
	}
	got := k.Requests()
	if k.Count() != 10_000+more || len(got) != 10_000 || got[0].Path != "/5" || got[9999].Path != "/10004" {
		t.Errorf("count %d, %d kept, from %s", k.Count(), len(got), got[0].Path)
	}
}

// TestConcurrentUse changes everything while it is served, for the race detector.
func TestConcurrentUse(t *testing.T) {
	k := koodrivetest.New()
	c := serve(t, k)
	k.SetTask(koodrivetest.Task{ID: "1", Steps: make([]koodrivetest.Step, 50)})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 50 {
				c.get("1")
				k.SetTask(koodrivetest.Task{ID: "2"})
				k.RemoveTask("2")
				k.SetSkew(time.Duration(i))
				k.AddToken(strconv.Itoa(i), time.Minute)
				k.RevokeToken(strconv.Itoa(i))
				k.AddApp(strconv.Itoa(i), "secret")
				k.SetFault(&koodrivetest.Fault{Pad: i})
				k.Requests()
				k.Apply(&koodrivetest.Script{Tasks: []koodrivetest.Task{{ID: "2"}}})
				k.ForgetRequests()
			}
		})
	}
	wait.Wait()
	if got := k.Count(); got != 200 {
		t.Errorf("%d requests", got)
	}
}
