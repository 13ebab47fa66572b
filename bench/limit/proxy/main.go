// Command proxy is the limit of a request that is passed on, RP: httputil.ReverseProxy with a tuned transport.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"github.com/kootask/kootask/bench/control"
)

// buffers are used to copy the answers.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

func main() {
	addr := flag.String("addr", "", "address of the port")
	upstream := flag.String("upstream", "", "address of KooDrive")
	flag.Parse()
	to := &url.URL{Scheme: "http", Host: *upstream}
	log.Fatal(control.Listen(*addr, &httputil.ReverseProxy{
		Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:  &http.Transport{MaxIdleConns: 2048, MaxIdleConnsPerHost: 1024, DisableCompression: true},
		BufferPool: &buffers{},
	}))
}
