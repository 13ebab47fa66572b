package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// asker is everything of a watch that can change KooDrive's answer.
type asker struct{ authorization, date, user, language, task string }

func (a asker) call() call {
	c := call{id: a.task}
	for name, value := range map[string]string{
		"authorization": a.authorization, "x-date": a.date, "x-user-id": a.user, "language": a.language,
	} {
		if value != "" {
			c.header = append(c.header, name, value)
		}
	}
	return c
}

// signedBy is a caller's own signature. KooDrive gets it, and refuses it.
func signedBy(app string) string {
	return "HMAC-SHA256 AppId=" + app + ",SignedHeaders=x-date;x-user-id,Signature=c"
}

// polls counts the requests to KooDrive that are equal in everything that can change the answer.
func (s *system) polls() map[string]int {
	asked := map[string]int{}
	for _, r := range s.koodrive.Requests() {
		ask := asker{r.Header.Get("Authorization"), r.Header.Get("X-Date"), r.Header.Get("X-User-Id"), r.Header.Get("Language"), r.TaskID}
		if strings.Contains(ask.authorization, "SignedHeaders=host;") { // Signed here: different each time.
			ask.authorization, ask.date = "", ""
		}
		asked[fmt.Sprint(ask)]++
	}
	return asked
}

// watchBoth has two callers watch at the same time, for a moment, on a surface each.
func (s *known) watchBoth(t *testing.T, a, b call) (first, second []event) {
	t.Helper()
	ctx, leave := context.WithTimeout(t.Context(), 30*time.Second)
	defer leave()
	var both sync.WaitGroup
	both.Go(func() { first = s.followGRPC(ctx, a) })
	synctest.Wait() // The first request is in flight.
	both.Go(func() { second = s.followGRPC(ctx, b) })
	both.Wait()
	return first, second
}

// Two watches that differ in anything that KooDrive sees share neither a request nor a message. Two that differ in nothing share
// all.
func TestOnlyEqualWatchesShare(t *testing.T) {
	const date, later = "20240831T143829Z", "20240831T143830Z"
	plain := asker{"Bearer " + token, "", "42", "zh-CN", taskID}
	hmac := asker{signedBy("a"), date, "42", "zh-CN", taskID}
	for name, row := range map[string]struct {
		a, b   asker
		shared bool
	}{
		"nothing":                 {plain, plain, true},
		"the spelling of Bearer":  {plain, asker{"bearer+" + token, "", "42", "zh_cn", taskID}, true},
		"the spaces after Bearer": {plain, asker{"Bearer   " + token, "", "42", "zh-CN", taskID}, true},
		"signed: the spaces":      {hmac, asker{strings.Replace(signedBy("a"), " ", "  ", 1), date, "42", "zh-CN", taskID}, true},
		"the token":               {plain, asker{"Bearer " + token + "2", "", "42", "zh-CN", taskID}, false},
		"the scheme":              {plain, asker{"AT " + token, "", "42", "zh-CN", taskID}, false},
		"the user":                {plain, asker{"Bearer " + token, "", "43", "zh-CN", taskID}, false},
		"no user":                 {plain, asker{"Bearer " + token, "", "", "zh-CN", taskID}, false},
		"the date":                {plain, asker{"Bearer " + token, date, "42", "zh-CN", taskID}, true},
		"two dates":               {asker{"Bearer " + token, later, "42", "zh-CN", taskID}, asker{"Bearer " + token, date, "42", "zh-CN", taskID}, true},
		"the language":            {plain, asker{"Bearer " + token, "", "42", "en-US", taskID}, true},
		"no language":             {plain, asker{"Bearer " + token, "", "42", "", taskID}, true},
		"the task":                {plain, asker{"Bearer " + token, "", "42", "zh-CN", exampleID}, false},
		"signed: nothing":         {hmac, hmac, true},
		"signed: the app":         {hmac, asker{signedBy("b"), date, "42", "zh-CN", taskID}, false},
		"signed: the date":        {hmac, asker{signedBy("a"), later, "42", "zh-CN", taskID}, false},
		"signed: the user":        {hmac, asker{signedBy("a"), date, "43", "zh-CN", taskID}, false},
		"signed: the language":    {hmac, asker{signedBy("a"), date, "42", "en-US", taskID}, true},
		"signed: the task":        {hmac, asker{signedBy("a"), date, "42", "zh-CN", exampleID}, false},
		"a border: token, user":   {asker{"Bearer a", "", "bc", "", taskID}, asker{"Bearer ab", "", "c", "", taskID}, false},
		"a border: user, task":    {asker{"Bearer a", "", "1", "", "23"}, asker{"Bearer a", "", "12", "", "3"}, false},
		"a border: token, task":   {asker{"Bearer 1", "", "", "", "23"}, asker{"Bearer 12", "", "", "", "3"}, false},
		"a border: user, nothing": {asker{"Bearer a", "", "b", "", taskID}, asker{"Bearer ab", "", "", "", taskID}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, plain *system) {
				s := &known{system: plain}
				for _, token := range []string{token, token + "2", "AT " + token, "a", "ab", "1", "12"} {
					s.koodrive.AddToken(token, 0)
				}
				for _, id := range []string{taskID, exampleID, "23", "3"} {
					s.koodrive.SetTask(koodrivetest.Task{ID: id, Steps: steps(1)})
				}
				s.koodrive.SetFault(&koodrivetest.Fault{Latency: time.Second}) // So that signatures, which are refused, could be shared.
				s.share(t, row.a.call(), row.b.call(), row.shared)
			})
		})
	}
}

// share has two callers watch, and checks whether they shared.
func (s *known) share(t *testing.T, a, b call, shared bool) {
	t.Helper()
	first, second := s.watchBoth(t, a, b)
	asked := s.polls()
	want := 2
	if shared {
		want = 1
	}
	if len(asked) != want {
		t.Errorf("KooDrive got %d kinds of requests: %v", len(asked), asked)
	}
	if n := s.koodrive.Count(); shared && n > 10 { // A watch makes some 7 requests in 30 s.
		t.Errorf("KooDrive got %d requests", n)
	}
	for id, events := range map[string][]event{a.id: first, b.id: second} {
		if len(events) < 1 {
			t.Fatal("a watch has no end")
		}
		if task := events[0].task; task != nil && task.GetTaskId() != id {
			t.Errorf("%s in place of %s", task.GetTaskId(), id)
		}
	}
}

// In app mode only the user and the task count, not the caller or its language.
func TestOnlyEqualWatchesOfAnAppShare(t *testing.T) {
	alice := asker{user: "42", language: "zh-CN", task: taskID}
	for name, row := range map[string]struct {
		b      asker
		shared bool
	}{
		"nothing":      {alice, true},
		"the user":     {asker{user: "43", language: "zh-CN", task: taskID}, false},
		"the language": {asker{user: "42", language: "en-US", task: taskID}, true},
		"no language":  {asker{user: "42", task: taskID}, true},
		"the task":     {asker{user: "42", language: "zh-CN", task: exampleID}, false},
		"a border":     {asker{user: "421", language: "zh-CN", task: taskID[1:]}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, modes["app"], nil, func(t *testing.T, s *known) {
				s.allow(t, "callers: [{claims: {iss: 'https://issuer.test'}, users: ['*']}]")
				for _, id := range []string{taskID, taskID[1:], exampleID} {
					s.koodrive.SetTask(koodrivetest.Task{ID: id, Steps: steps(1)})
				}
				s.koodrive.SetFault(&koodrivetest.Fault{Latency: time.Second})
				a, b := alice.call(), row.b.call()
				a.header = append(a.header, s.mode.header, s.good())
				b.header = append(b.header, s.mode.header, "Bearer "+s.jwt(map[string]any{"sub": "bob"}))
				s.share(t, a, b, row.shared)
			})
		})
	}
}
