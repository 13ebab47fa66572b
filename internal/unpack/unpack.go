// Package unpack reads the body of an HTTP response and decodes gzip and x-gzip, which is another name of gzip (RFC 9110,
// 8.4.1.3). net/http only decodes the first name, and only if it has requested gzip by itself.
//
// A body with another coding, or with several in one value, is left unchanged. Its reader will find that it is not JSON.
//
//	body, err := unpack.Body(response, 64<<10)
package unpack

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Body returns at most the first most bytes of a body, decoded. On an error it also returns the bytes before it. It
// does not close the body.
func Body(response *http.Response, most int64) ([]byte, error) {
	if !zipped(response.Header) {
		return read(response.Body, most, response.ContentLength)
	}
	unzipped := readers.Get().(*gzip.Reader)
	defer readers.Put(unzipped)
	err := unzipped.Reset(response.Body)
	if errors.Is(err, io.EOF) { // net/http also accepts an empty body.
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return read(unzipped, most, -1)
}

// readers are used again, as those of net/http are: each has 40 KB.
var readers = sync.Pool{New: func() any { return &gzip.Reader{} }}

// usual is the initial size of the buffer for a body of unknown length, in bytes.
const usual = 512

// read returns at most the first most bytes of r. length is the expected number; negative if it is unknown.
func read(r io.Reader, most, length int64) ([]byte, error) {
	if length < 0 {
		length = usual
	}
	content := make([]byte, 0, min(length, most-1)+1) // With room for the read that finds the end.
	for int64(len(content)) < most {
		if len(content) == cap(content) {
			content = append(content, 0)[:len(content)]
		}
		n, err := r.Read(content[len(content):min(int64(cap(content)), most)])
		content = content[:len(content)+n]
		if errors.Is(err, io.EOF) {
			return content, nil
		}
		if err != nil {
			return content, err
		}
	}
	return content, nil
}

// zipped reports whether a body is gzipped. Of several values, net/http looks at the first one for gzip.
func zipped(header http.Header) bool {
	codings := header.Values("Content-Encoding")
	return len(codings) > 0 && strings.EqualFold(codings[0], "gzip") ||
		len(codings) == 1 && strings.EqualFold(codings[0], "x-gzip")
}
