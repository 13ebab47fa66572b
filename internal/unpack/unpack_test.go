package unpack_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kootask/kootask/internal/unpack"
)

const text = `{"code":0}`

// zip compresses a text.
func zip(t *testing.T, content string) string {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := io.WriteString(w, content)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return zipped.String()
}

// Both names are read exactly as net/http reads gzip, whether the body is valid, damaged or empty, and whether net/http
// has requested gzip by itself.
func TestBothNamesOfGzipAreRead(t *testing.T) {
	zipped := zip(t, text)
	for name, row := range map[string]struct {
		body, want string
		fails      bool
	}{
		"zipped":       {body: zipped, want: text},
		"in two parts": {body: zip(t, text[:4]) + zip(t, text[4:]), want: text},
		"empty":        {},
		"not zipped":   {body: text, fails: true},
		"cut off":      {body: zipped[:len(zipped)-9], want: text, fails: true},
		"cut early":    {body: zipped[:5], fails: true},
		"bytes after":  {body: zipped + "geheim", want: text, fails: true},
		"a bomb":       {body: zip(t, string(make([]byte, 1<<20))), want: string(make([]byte, 100))},
	} {
		t.Run(name, func(t *testing.T) {
			for _, coding := range []string{"gzip", "GZIP", "x-gzip", "X-GZip"} {
				for _, accept := range []string{"", "gzip"} {
					body, err := answer(t, row.body, accept, coding)
					if string(body) != row.want || (err != nil) != row.fails {
						t.Errorf("%s, requested as %q: %q, %v", coding, accept, body, err)
					}
				}
			}
		})
	}
}

// Other codings, several codings and none are left as they are.
func TestOtherCodingsAreLeft(t *testing.T) {
	for _, codings := range [][]string{
		nil, {""}, {"identity"}, {"utf-8"}, {"br"}, {"x-gzip, identity"}, {"x-gzip, x-gzip"}, {"x-gzip", "x-gzip"}, {"gzip, x-gzip"}, {"x-gzipped"},
	} {
		for _, accept := range []string{"", "gzip"} {
			if body, err := answer(t, text, accept, codings...); string(body) != text || err != nil {
				t.Errorf("%q: %q, %v", codings, body, err)
			}
		}
	}
}

// Several values are read as net/http reads them.
func TestSeveralValues(t *testing.T) {
	for _, accept := range []string{"", "gzip"} {
		if body, err := answer(t, zip(t, text), accept, "gzip", "identity"); string(body) != text || err != nil {
			t.Errorf("requested as %q: %q, %v", accept, body, err)
		}
	}
}

// answer returns up to 100 decoded bytes of an answer that net/http has read. If accept is empty, net/http requests gzip by
// itself.
func answer(t *testing.T, body, accept string, codings ...string) ([]byte, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Encoding"] = codings
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	request := httptest.NewRequest(http.MethodGet, server.URL, nil)
	request.RequestURI = ""
	if accept != "" {
		request.Header.Set("Accept-Encoding", accept)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return unpack.Body(response, 100)
}

// The length in the header is a hint. A body is read up to its end or the limit, whatever the header says, and its buffer is
// at first no larger than the limit.
func TestLengths(t *testing.T) {
	for _, length := range []int64{-1, 0, 1, 9, 10, 11, 100, math.MaxInt64} {
		for most, want := range map[int64]string{100: text, 10: text, 9: text[:9], 1: text[:1]} {
			body, err := unpack.Body(&http.Response{
				Body: io.NopCloser(iotest.OneByteReader(strings.NewReader(text))), ContentLength: length,
			}, most)
			if string(body) != want || err != nil || length >= most && int64(cap(body)) > most {
				t.Errorf("length %d, at most %d: %q, %v, in a buffer of %d", length, most, body, err, cap(body))
			}
		}
	}
}
