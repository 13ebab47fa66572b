package koodrivetest_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// status asks for a task and returns its status.
func (c client) status(id string) int64 {
	c.t.Helper()
	_, body := c.get(id)
	var task struct{ Status *int64 }
	if err := json.Unmarshal([]byte(body), &task); err != nil || task.Status == nil {
		c.t.Fatalf("no status in %s", body)
	}
	return *task.Status
}

func TestSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		task := koodrivetest.Task{ID: "1", Steps: []koodrivetest.Step{
			{Status: koodrivetest.StatusNew},
			{Status: koodrivetest.StatusExecuting, For: 10 * time.Second},
			{Status: koodrivetest.StatusNew},
			{Status: koodrivetest.StatusSuccess, For: time.Second},
		}}
		k.SetTask(task)
		task.Steps[0].Status = 9 // the caller's slice is its own
		c := serve(t, k)
		time.Sleep(time.Hour) // nothing happens before the first answer
		for i, step := range []struct {
			after time.Duration
			want  int64
		}{
			{0, 0},
			{time.Hour, 1}, // shown at least once, however late
			{9 * time.Second, 1},
			{time.Second - 1, 1},
			{1, 0},
			{0, 2},
			{time.Hour, 2},
		} {
			time.Sleep(step.after)
			if got := c.status("1"); got != step.want {
				t.Errorf("answer %d: status %d, want %d", i, got, step.want)
			}
		}
		task.Steps[0].Status = koodrivetest.StatusNew
		k.SetTask(task)
		if got := c.status("1"); got != koodrivetest.StatusNew {
			t.Errorf("status of the replaced task %d", got)
		}
	})
}

func TestAbsentFields(t *testing.T) {
	k := koodrivetest.New()
	k.SetTask(koodrivetest.Task{ID: "bare"})
	k.SetTask(koodrivetest.Task{
		ID: "renamed", Name: "old", Type: new(int64(1)), Steps: []koodrivetest.Step{{Name: "new"}},
	})
	c := serve(t, k)
	for id, want := range map[string]string{
		"bare":    `{"taskId":"bare","status":0,"code":0,"msg":"成功"}`,
		"renamed": `{"taskId":"renamed","taskName":"new","taskType":1,"status":0,"code":0,"msg":"成功"}`,
	} {
		if _, body := c.get(id); body != want {
			t.Errorf("got  %s\nwant %s", body, want)
		}
	}
}

func TestCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		k.SetTask(koodrivetest.Task{ID: "1534087020903704705"}) // the next id is taken
		c := serve(t, k)
		resp, body := c.do(c.request("POST", taskPath+"create",
			`{"taskType":0,"srcUserId":"1397687227244555008","dstUserId":"1507947856550550784"}`))
		if want := `{"taskId":"1534087020903704706","code":0,"msg":"成功"}`; resp.StatusCode != 200 || body != want {
			t.Fatalf("got %s %s, want %s", resp.Status, body, want)
		}
		for _, want := range []int64{koodrivetest.StatusNew, koodrivetest.StatusExecuting, koodrivetest.StatusExecuting,
			koodrivetest.StatusSuccess} {
			if got := c.status("1534087020903704706"); got != want {
				t.Errorf("status %d, want %d", got, want)
			}
			time.Sleep(5 * time.Second)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	c := serve(t, koodrivetest.New())
	for _, body := range []string{
		"", "[]", "{}", `{"taskType":2}`, `{"taskType":-1}`, `{"taskType":"0"}`, `{"taskType":0,"srcUserId":"1"}`,
	} {
		resp, got := c.do(c.request("POST", taskPath+"create", body))
		if want := `{"code":13000102,"msg":"Verify parameters failed."}`; resp.StatusCode != 400 || got != want {
			t.Errorf("%s: got %s %s", body, resp.Status, got)
		}
	}
}
