package gateway

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// asset is a file that is the same for everybody, which alone is compressed: a stream would be held up, and the size of a
// compressed answer about a task tells something of it.
type asset struct {
	mediaType string
	policy    string // Content-Security-Policy, empty for what is no page.
	etag      string
	packed    []byte
}

// newAsset compresses a file.
func newAsset(mediaType, policy string, content []byte) asset {
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	_, _ = w.Write(content) // A buffer takes everything.
	_ = w.Close()
	return packedAsset(mediaType, policy, packed.Bytes())
}

// packedAsset takes a file that is compressed already.
func packedAsset(mediaType, policy string, packed []byte) asset {
	sum := sha256.Sum256(packed)
	// Weak: it stands for the file in both encodings.
	return asset{mediaType, policy, `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, packed}
}

// route registers the asset at a path.
func (a asset) route(mux *runtime.ServeMux, path string) error {
	serve := func(w http.ResponseWriter, r *http.Request, _ map[string]string) { a.serve(w, r) }
	return errors.Join(mux.HandlePath(http.MethodGet, path, serve), mux.HandlePath(http.MethodHead, path, serve))
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // To be kept, and asked for again: a browser has the files of one version.
	h.Set("ETag", a.etag)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Add("Vary", "Accept-Encoding")
	if a.policy != "" {
		h.Set("Content-Security-Policy", a.policy)
	}
	// Not by http.ServeContent: it knows parts of files and further conditions, and answers what is wrong with them in its own words.
	if known := r.Header.Get("If-None-Match"); known == "*" || strings.Contains(known, strings.TrimPrefix(a.etag, "W/")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	content := a.packed
	if accepted := r.Header.Values("Accept-Encoding"); lists(accepted, "gzip") || lists(accepted, "x-gzip") { // Two names of one coding.
		h.Set("Content-Encoding", "gzip")
	} else {
		unpacked, _ := gzip.NewReader(bytes.NewReader(a.packed)) // What was compressed at the start can be read.
		content, _ = io.ReadAll(unpacked)
	}
	h.Set("Content-Type", a.mediaType)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
}

// lists reports whether a header of a request that says what its client takes, each with its weight, has an entry.
func lists(values []string, entry string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			name, parameters, err := mime.ParseMediaType(part) // A coding has the same form.
			q, weighed := parameters["q"]
			if err == nil && name == entry && (!weighed || strings.Trim(q, "0.") != "") {
				return true
			}
		}
	}
	return false
}
