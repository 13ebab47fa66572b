package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

func TestAdminPort(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/debug/pprof/": 200, "/debug/pprof/goroutine": 200, "/": 404} {
			resp, err := s.admin.Get("http://localhost" + path)
			if err != nil {
				t.Fatal(err)
			}
			if _ = resp.Body.Close(); resp.StatusCode != want {
				t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
			}
		}
	})
}

// Health and reflection need no credential.
func TestHealthNeedsNoCredential(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		_, err := healthv1.NewHealthClient(s.conn).Check(context.Background(), &healthv1.HealthCheckRequest{})
		if err != nil {
			t.Error(err)
		}
		if lines := s.log.String(); lines != "" {
			t.Errorf("health is logged: %s", lines)
		}
		var answer struct{ OpenAPI string }
		resp, body := s.get(t, withoutCredential(request(t.Context(), t, "/openapi.json")))
		if err := json.Unmarshal([]byte(body), &answer); err != nil || !strings.HasPrefix(answer.OpenAPI, "3.1.") || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("openapi.json: %v, %v", resp, err)
		}
	})
}

func withoutCredential(r *http.Request) *http.Request {
	r.Header.Del("Authorization")
	return r
}
