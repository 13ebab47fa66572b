//go:build !race

package unpack_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kootask/kootask/internal/unpack"
)

// Each poll may get a gzipped answer. A decompressor of its own would be 40 KB.
func TestAllocsOfGzip(t *testing.T) {
	body := zip(t, text)
	header := http.Header{"Content-Encoding": {"gzip"}}
	bytes := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			content, err := unpack.Body(&http.Response{Header: header, Body: io.NopCloser(strings.NewReader(body))}, 64<<10)
			if string(content) != text || err != nil {
				b.Fatalf("%q, %v", content, err)
			}
		}
	}).AllocedBytesPerOp()
	if bytes > 8<<10 {
		t.Errorf("%d B", bytes)
	}
}
