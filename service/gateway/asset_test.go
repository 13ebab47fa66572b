package gateway

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAssetInBothEncodings(t *testing.T) {
	a := newAsset("text/css", "default-src 'none'", []byte("p { margin: 0 }"))
	for accept, packed := range map[string]bool{
		"": false, "gzip": true, "br, gzip": true, "GZIP;q=0.5": true, "gzip; q=0": false, "gzip;q=0.000": false, "x-gzip": true, "br, X-GZIP; q=1": true, "x-gzip;q=0": false, "x-gzipped": false, "identity": false, "gzipped": false, ";": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		a.serve(w, r)
		body := io.Reader(w.Body)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != packed {
			t.Errorf("%q: compressed: %v", accept, got)
		} else if packed {
			body, _ = gzip.NewReader(w.Body)
		}
		if content, err := io.ReadAll(body); err != nil || string(content) != "p { margin: 0 }" {
			t.Errorf("%q: %q, %v", accept, content, err)
		}
		if h := w.Header(); h.Get("Content-Type") != "text/css" || h.Get("Content-Security-Policy") != "default-src 'none'" || h.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %v", accept, h)
		}
		r.Header.Set("If-None-Match", w.Header().Get("ETag"))
		w = httptest.NewRecorder()
		if a.serve(w, r); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
			t.Errorf("%q: asked again: %d", accept, w.Code)
		}
	}
	if other := newAsset("text/css", "", []byte("p {}")); other.etag == a.etag {
		t.Error("two files have one ETag")
	}
}
