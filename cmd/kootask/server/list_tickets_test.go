package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A ticket for a list stands for the set of its ids.
func TestTicketForAList(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		ids := s.fleet(4, steps(2)...)
		ticket := func() string {
			r := request(t.Context(), t, listPath(":ticket", ids[:3]))
			r.Method = http.MethodPost
			resp, body := s.get(t, r)
			var said map[string]string
			if err := json.Unmarshal([]byte(body), &said); err != nil || resp.StatusCode != http.StatusOK || len(said["ticket"]) != 43 {
				t.Fatalf("HTTP %d, %v: %s", resp.StatusCode, err, body)
			}
			return said["ticket"]
		}
		comes := func(ticket, path string) int {
			r := request(t.Context(), t, path, "Accept", sse)
			r.Header.Del("Authorization")
			query := r.URL.Query()
			query.Set("ticket", ticket)
			r.URL.RawQuery = query.Encode()
			resp, _ := s.get(t, r)
			return resp.StatusCode
		}
		for name, row := range map[string]struct {
			path string
			want int
		}{
			"the same":      {listPath(":watch", ids[:3]), 200},
			"another order": {listPath(":watch", []string{ids[2], ids[0], ids[1], ids[0]}), 200},
			"a subset":      {listPath(":watch", ids[:2]), 401},
			"a superset":    {listPath(":watch", ids), 401},
			"another set":   {listPath(":watch", ids[1:]), 401},
			"no list":       {listPath(":watch", nil), 401},
			"one task":      {"/v1/tasks/" + ids[0] + ":watch", 401},
		} {
			value := ticket()
			if got := comes(value, row.path); got != row.want {
				t.Errorf("%s: HTTP %d", name, got)
			}
			if got := comes(value, listPath(":watch", ids[:3])); got != 401 {
				t.Errorf("%s: HTTP %d with a used ticket", name, got)
			}
		}
		for _, life := range []struct {
			wait time.Duration
			want int
		}{{auth.TicketLife - time.Second, 200}, {auth.TicketLife + time.Millisecond, 401}} {
			value := ticket()
			time.Sleep(life.wait)
			if got := comes(value, listPath(":watch", ids[:3])); got != life.want {
				t.Errorf("after %v: HTTP %d", life.wait, got)
			}
		}
		// A ticket for one task is for that task's watch.
		if got := comes(s.ticket(t, bearer...), listPath(":watch", ids[:2])); got != 401 {
			t.Errorf("a ticket for one task: HTTP %d", got)
		}
	})
}

// An event source that has seen the last event is told not to come back.
func TestReconnectAfterTheEndOfAList(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		ids := s.fleet(2)
		for name, r := range map[string]*http.Request{
			"header":    request(t.Context(), t, listPath(":watch", ids), "Accept", sse, "Last-Event-ID", "end"),
			"parameter": request(t.Context(), t, listPath(":watch", ids)+"&lastEventId=end"),
		} {
			if resp, body := s.get(t, r); resp.StatusCode != http.StatusNoContent || body != "" || s.koodrive.Count() != 0 {
				t.Errorf("%s: HTTP %d: %s", name, resp.StatusCode, body)
			}
		}
	})
}

// A long list passes as it is, over each surface.
func TestLongestList(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		var ids []string
		for i := range 100 {
			ids = append(ids, fmt.Sprintf("%064d", i))
			s.koodrive.SetTask(koodrivetest.Task{ID: ids[i], Steps: steps(2)})
		}
		for _, surface := range surfaces {
			if got := s.watchTasks(t.Context(), t, surface, ids); len(got.of) != 100 || got.end.name != "end" {
				t.Errorf("%s: %d tasks, and %+v", surface, len(got.of), got.end)
			}
		}
	})
}
