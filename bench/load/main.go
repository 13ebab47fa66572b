// Command load makes many unary calls, over gRPC or as GET over HTTP/1.1, and prints their result as JSON. A constant number is
// in flight. A call fails unless its gRPC status is OK, or its HTTP status 200.
//
//	load -addr 127.0.0.1:9090 -n 10000 -conns 8 -inflight 64 -id done-1
//	load -addr 127.0.0.1:8080 -n 10000 -conns 64 -inflight 64 -http /v1/tasks/ -id done-1
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kootask/kootask/bench/result"
)

// plan is the work of one connection.
type plan struct {
	addr, path, token, id string
	calls, inflight       int
	first, ids            int // The calls go round ids, from first on; 0: all are for id.
}

// calls are those of one connection.
type calls struct {
	latencies     []time.Duration
	failed, bytes int
}

// name returns the task of the connection's i-th call.
func (p plan) name(i int) string {
	if p.ids == 0 {
		return p.id
	}
	return p.id + "-" + strconv.Itoa((p.first+i)%p.ids)
}

func main() {
	var p plan
	flag.StringVar(&p.addr, "addr", "", "address of the server")
	flag.StringVar(&p.path, "http", "", "path before the id; empty: GetTask over gRPC")
	flag.StringVar(&p.id, "id", "", "id of the task")
	flag.IntVar(&p.ids, "ids", 0, "number of ids that begin with -id; 0: only -id itself")
	n := flag.Int("n", 1, "number of calls")
	conns := flag.Int("conns", 1, "number of connections")
	inflight := flag.Int("inflight", 1, "number of calls in flight, on all connections; with -http it must equal -conns")
	callers := flag.Int("callers", 1, "number of callers, each with its own token")
	flag.Parse()
	p.calls, p.inflight = *n / *conns, *inflight / *conns
	call := grpcCalls
	if p.path != "" {
		if *inflight != *conns {
			log.Fatal("HTTP/1.1 has one call in flight on each connection: -inflight must equal -conns")
		}
		call = httpCalls
	}
	var all sync.WaitGroup
	done := make([]calls, *conns)
	began := time.Now()
	for i := range *conns {
		p.token, p.first = fmt.Sprint("caller-", i%*callers), i*p.calls
		all.Go(func() {
			var err error
			if done[i], err = call(p); err != nil {
				log.Fatal(err)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	var sorted []time.Duration
	var out result.Calls
	for _, c := range done {
		sorted = append(sorted, c.latencies...)
		out.Failed += c.failed
		out.Bytes += float64(c.bytes)
	}
	slices.Sort(sorted)
	out.Calls = len(sorted)
	out.Bytes /= float64(out.Calls)
	out.Rate = float64(len(sorted)) / took.Seconds()
	out.P50, out.P99 = ms(sorted[len(sorted)/2]), ms(sorted[len(sorted)*99/100])
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		log.Fatal(err)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
