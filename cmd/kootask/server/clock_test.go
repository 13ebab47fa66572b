package server_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// A wrong clock that is then corrected costs the first call one more request, at every door. A clock that is too far ahead
// has to be fixed by the operator.
func TestWrongClock(t *testing.T) {
	user := []string{"x-user-id", "1395497048157130881"}
	for name, row := range map[string]struct {
		offset      time.Duration // Of our clock.
		first, then int           // Requests of the first call with it, and of the first one after it was set right.
	}{
		"20 minutes behind": {-20 * time.Minute, 2, 2},
		"40 s behind":       {-40 * time.Second, 1, 2},
		"10 s ahead":        {10 * time.Second, 2, 1},
	} {
		for _, door := range doors {
			bubble(t, appMode("s3cr3t"), func(t *testing.T, s *system) {
				s.koodrive.AddApp("app", "s3cr3t")
				requests := func() int { // Of a call that KooDrive accepts: that a task is not there is never remembered.
					before := s.koodrive.Count()
					if v := s.fail(t.Context(), t, door, call{id: taskID, header: user}); v.reason != "TASK_NOT_FOUND" {
						t.Errorf("%s, %s: %+v", name, door, v)
					}
					return s.koodrive.Count() - before
				}
				s.koodrive.SetSkew(-row.offset)
				if n := requests(); n != row.first {
					t.Errorf("%s, %s: %d requests at first", name, door, n)
				}
				if n := requests(); n != 1 {
					t.Errorf("%s, %s: %d requests once it is known", name, door, n)
				}
				s.koodrive.SetSkew(0)
				if n := requests(); n != row.then {
					t.Errorf("%s, %s: %d requests once it is right", name, door, n)
				}
				if n := requests(); n != 1 {
					t.Errorf("%s, %s: %d requests in the end", name, door, n)
				}
			})
		}
	}
	for _, door := range doors {
		bubble(t, appMode("s3cr3t"), func(t *testing.T, s *system) {
			s.koodrive.AddApp("app", "s3cr3t")
			s.koodrive.SetSkew(-20 * time.Minute)
			v := s.fail(t.Context(), t, door, call{id: taskID, header: user})
			if v.code != codes.Internal || v.reason != "SERVER_MISCONFIGURED" || v.retry != nil || s.koodrive.Count() != 2 {
				t.Errorf("20 minutes ahead, %s: %+v after %d requests", door, v, s.koodrive.Count())
			}
		})
	}
}
