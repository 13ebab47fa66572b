package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMetric(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("# HELP lines Lines.\nlines{kind=\"a\"} 1\nlines{kind=\"b\"} 2.5\nlines_more 7\n"))
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	if sum, err := metric(addr, "lines"); err != nil || sum != 3.5 {
		t.Error(sum, err)
	}
	if _, err := metric(addr, "line"); err == nil {
		t.Error("a metric that is not there has a sum")
	}
}
