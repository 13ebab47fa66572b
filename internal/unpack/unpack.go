// Package unpack reads the body of an HTTP response and decodes x-gzip, which is another name of gzip (RFC 9110,
// 8.4.1.3). net/http requests gzip and only decodes that name.
//
// A body with another coding, or with several, is left unchanged. Its reader will find that it is not JSON.
//
//	body, err := unpack.Body(response, 64<<10)
package unpack

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
)

// Body returns at most the first most bytes of a body, decoded. On an error it also returns the bytes before it. It
// does not close the body.
func Body(response *http.Response, most int64) ([]byte, error) {
	if !zipped(response.Header) {
		return io.ReadAll(io.LimitReader(response.Body, most))
	}
	unzipped, err := gzip.NewReader(response.Body)
	if errors.Is(err, io.EOF) { // net/http also accepts an empty body.
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(unzipped, most))
}

// zipped reports whether a body is gzipped under a name that net/http does not decode.
func zipped(header http.Header) bool {
	codings := header.Values("Content-Encoding")
	return len(codings) == 1 && strings.EqualFold(codings[0], "x-gzip")
}
