package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// rotating returns a query of an app with these secrets.
func rotating(t *testing.T, c *upstream.Client, secrets func() []secret.Value) upstream.Query {
	t.Helper()
	credential, err := (&upstream.App{ID: "app-one", Secrets: secrets}).As("1395497048157130881")
	if err != nil {
		t.Fatal(err)
	}
	return prepared(t, c, credential)
}

func TestSecondSecretIsTriedOnceIfTheFirstIsRefused(t *testing.T) {
	for name, row := range map[string]struct {
		accepted string
		skew     time.Duration
		fault    *koodrivetest.Fault
		requests int
		status   int // Of the refusal; 0 without one.
	}{
		"the first is good":           {"one", 0, nil, 1, 0},
		"the second is good":          {"two", 0, nil, 2, 0},
		"none is":                     {"three", 0, nil, 2, http.StatusUnauthorized},
		"our clock is wrong":          {"one", 20 * time.Minute, nil, 2, 0},
		"so it is, and the second is": {"two", 20 * time.Minute, nil, 3, 0},
		"the clock cannot be helped":  {"one", 12 * time.Hour, nil, 3, http.StatusUnauthorized},
		"400 without a code":          {"one", 0, koodrivetest.Answer(http.StatusBadRequest, ""), 2, http.StatusBadRequest},
		"400 with a code":             {"one", 0, koodrivetest.Answer(http.StatusBadRequest, `{"code":"13000309"}`), 1, http.StatusBadRequest},
		"403":                         {"one", 0, koodrivetest.Answer(http.StatusForbidden, ""), 1, http.StatusForbidden},
		"500":                         {"one", 0, koodrivetest.Answer(http.StatusInternalServerError, ""), 1, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
				k.AddApp("app-one", row.accepted)
				k.SetSkew(row.skew)
				k.SetFault(row.fault)
				secrets := upstream.FixedSecrets(secret.New("one"), secret.New("two"), secret.New("three"))
				_, err := c.Task(t.Context(), rotating(t, c, secrets), upstream.Call{})
				var refused *upstream.StatusError
				status := 0
				if errors.As(err, &refused) {
					status = refused.Status
				}
				if status != row.status || (err != nil) != (status != 0) {
					t.Errorf("got %v", err)
				}
				if k.Count() != row.requests {
					t.Errorf("%d requests, want %d", k.Count(), row.requests)
				}
				for _, r := range k.Requests() {
					if r.InFlight != 1 {
						t.Errorf("%d requests at once", r.InFlight)
					}
				}
			})
		})
	}
}

// The file gets the new secret as its second line, then KooDrive accepts it, and then the first line goes: no call fails. (In the
// other order, the new secret could be refused before KooDrive knows it, and the old one after.)
func TestRotationUnderLoad(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		var now atomic.Pointer[[]secret.Value]
		set := func(values ...string) {
			var secrets []secret.Value
			for _, value := range values {
				secrets = append(secrets, secret.New(value))
			}
			now.Store(&secrets)
		}
		set("old")
		k.AddApp("app-one", "old")
		q := rotating(t, c, func() []secret.Value { return *now.Load() })
		ctx, stop := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for range 5 {
			load.Go(func() {
				for ctx.Err() == nil {
					if _, err := c.Task(t.Context(), q, upstream.Call{}); err != nil {
						t.Error(err)
					}
					time.Sleep(200 * time.Millisecond)
				}
			})
		}
		for _, step := range []func(){
			func() { set("old", "new") },
			func() { k.AddApp("app-one", "new") },
			func() { set("new", "old") },
			func() { set("new") },
			func() { set("new", "newest") },
			func() { k.AddApp("app-one", "newest") },
			func() { set("newest") },
		} {
			time.Sleep(time.Second)
			step()
		}
		time.Sleep(time.Second)
		stop()
		load.Wait()
		if n := k.Count(); n < 200 {
			t.Errorf("%d requests", n)
		}
	})
}
