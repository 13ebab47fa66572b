// Package unpack reads the body of an HTTP answer, and knows that x-gzip is another name of gzip (RFC 9110, 8.4.1.3): net/http
// asks for gzip and decodes what is called gzip, and nothing else.
//
// An answer with several codings, or another one, is left as it came. Whoever reads it finds that it is not JSON.
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

// Body returns the first bytes of a body, at most so many, decoded. With an error it returns what came before. It does not
// close the body.
func Body(response *http.Response, most int64) ([]byte, error) {
	if !zipped(response.Header) {
		return io.ReadAll(io.LimitReader(response.Body, most))
	}
	unzipped, err := gzip.NewReader(response.Body)
	if errors.Is(err, io.EOF) { // To net/http, too, an empty body is empty.
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(unzipped, most))
}

// zipped reports whether net/http has left a body zipped for its name.
func zipped(header http.Header) bool {
	codings := header.Values("Content-Encoding")
	return len(codings) == 1 && strings.EqualFold(codings[0], "x-gzip")
}
