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

// asset is a static file. Only static files are compressed: compression would hold up a stream, and the size of a
// compressed answer about a task would reveal something of its content.
type asset struct {
	mediaType string
	policy    string // Content-Security-Policy; empty if the file is not a page.
	etag      string
	packed    []byte
}

// newAsset compresses content into an asset.
func newAsset(mediaType, policy string, content []byte) asset {
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	_, _ = w.Write(content) // A buffer accepts every write.
	_ = w.Close()
	return packedAsset(mediaType, policy, packed.Bytes())
}

// packedAsset returns the asset of a gzipped file.
func packedAsset(mediaType, policy string, packed []byte) asset {
	sum := sha256.Sum256(packed)
	// Weak, because it stands for both encodings.
	return asset{mediaType, policy, `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, packed}
}

// route registers the asset's handler at a path.
func (a asset) route(mux *runtime.ServeMux, path string) error {
	serve := func(w http.ResponseWriter, r *http.Request, _ map[string]string) { a.serve(w, r) }
	return errors.Join(mux.HandlePath(http.MethodGet, path, serve), mux.HandlePath(http.MethodHead, path, serve))
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // Keep it, but revalidate it: all files of a page must be of one version.
	h.Set("ETag", a.etag)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Add("Vary", "Accept-Encoding")
	if a.policy != "" {
		h.Set("Content-Security-Policy", a.policy)
	}
	// http.ServeContent would also answer range requests and other conditions, with error texts of its own.
	if known := r.Header.Get("If-None-Match"); known == "*" || strings.Contains(known, strings.TrimPrefix(a.etag, "W/")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	content := a.packed
	accepted := r.Header.Values("Accept-Encoding")
	if lists(accepted, "gzip") || lists(accepted, "x-gzip") { // Two names of one coding.
		h.Set("Content-Encoding", "gzip")
	} else {
		unpacked, _ := gzip.NewReader(bytes.NewReader(a.packed)) // newAsset has written it, so it can be read.
		content, _ = io.ReadAll(unpacked)
	}
	h.Set("Content-Type", a.mediaType)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
}

// lists reports whether a header such as Accept has an entry with a weight above 0.
func lists(values []string, entry string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			name, parameters, err := mime.ParseMediaType(part) // A content coding has the same syntax.
			q, weighed := parameters["q"]
			if err == nil && name == entry && (!weighed || strings.Trim(q, "0.") != "") {
				return true
			}
		}
	}
	return false
}
