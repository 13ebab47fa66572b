package gateway_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/gateway"
)

// At the maximum number of tickets, a request for another one gets an error with a delay.
func TestNoTicketIsLeft(t *testing.T) {
	anybody, err := auth.New(auth.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := gateway.New(gateway.Config{
		CheckTaskID: func(string) error { return nil },
		Conn:        scripted{}, Auth: anybody, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = anybody.Ticket(&http.Request{}, caller.Caller{}, []string{"1"})
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/tasks/1:ticket", nil)
	r.Header.Set("Authorization", "Bearer a")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "SERVER_OVERLOADED") || w.Header().Get("Retry-After") == "" {
		t.Errorf("HTTP %d %v: %s", w.Code, w.Header(), w.Body)
	}
}
