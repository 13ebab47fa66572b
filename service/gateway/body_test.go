package gateway

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Over HTTP/2 a body is read before it is refused, but not more than 64 KiB of it: see refuseBody.
func TestRefusedBodiesAreReadOverHTTP2(t *testing.T) {
	g, err := New(Config{Conn: &asked{}, Auth: anybody(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ major, size, left int }{{2, 2, 0}, {2, maxBody, 0}, {2, maxBody + 1000, 1000}, {1, 2, 2}} {
		body := strings.NewReader(strings.Repeat("a", row.size))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/tasks/1", body)
		r.ProtoMajor = row.major
		answer := httptest.NewRecorder()
		g.ServeHTTP(answer, r)
		if answer.Code != http.StatusBadRequest || body.Len() != row.left {
			t.Errorf("HTTP/%d, %d bytes: %d, with %d left", row.major, row.size, answer.Code, body.Len())
		}
	}
}
