package server_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// A wrong clock, and then its correction, cost one extra request each, at every door. A clock that is too far ahead is an
// error for the operator.
func TestWrongClock(t *testing.T) {
	user := []string{"x-user-id", "1395497048157130881"}
	for name, row := range map[string]struct {
		offset      time.Duration // Of our clock.
		first, then int           // Requests of the first call, and of the first call after the correction.
	}{
		"20 minutes behind": {-20 * time.Minute, 2, 2},
		"40 s behind":       {-40 * time.Second, 1, 2},
		"10 s ahead":        {10 * time.Second, 2, 1},
	} {
		for _, door := range doors {
			t.Run(name+"/"+door, func(t *testing.T) {
				bubble(t, appMode("s3cr3t"), func(t *testing.T, s *system) {
					s.koodrive.AddApp("app", "s3cr3t")
					requests := func() int { // Of a call that KooDrive accepts: "not found" is never cached.
						before := s.koodrive.Count()
						if v := s.fail(t.Context(), t, door, call{id: taskID, header: user}); v.reason != "TASK_NOT_FOUND" {
							t.Errorf("%+v", v)
						}
						return s.koodrive.Count() - before
					}
					s.koodrive.SetSkew(-row.offset)
					if n := requests(); n != row.first {
						t.Errorf("%d requests at first", n)
					}
					if n := requests(); n != 1 {
						t.Errorf("%d requests once the skew is known", n)
					}
					s.koodrive.SetSkew(0)
					if n := requests(); n != row.then {
						t.Errorf("%d requests once the clock is right", n)
					}
					if n := requests(); n != 1 {
						t.Errorf("%d requests in the end", n)
					}
				})
			})
		}
	}
	for _, door := range doors {
		t.Run("20 minutes ahead/"+door, func(t *testing.T) {
			bubble(t, appMode("s3cr3t"), func(t *testing.T, s *system) {
				s.koodrive.AddApp("app", "s3cr3t")
				s.koodrive.SetSkew(-20 * time.Minute)
				v := s.fail(t.Context(), t, door, call{id: taskID, header: user})
				if v.code != codes.Internal || v.reason != "SERVER_MISCONFIGURED" || v.retry != nil || s.koodrive.Count() != 2 {
					t.Errorf("%+v after %d requests", v, s.koodrive.Count())
				}
			})
		})
	}
}
