// Package control is the second port of every server that the driver of the watchers changes. The driver sees no difference
// between KooDrive's stand-in behind kootask and a limit program: it makes a change, and asks when the change began.
package control

import (
	"fmt"
	"io"
	"net/http"
	_ "net/http/pprof" // The heap profile gives the memory after a garbage collection.
	"strconv"
	"sync/atomic"
	"time"
)

// State is the last change, and the number of open streams. It is safe for concurrent use.
type State struct {
	// Open is the number of open streams.
	Open atomic.Int64

	version, pad, told atomic.Int64
}

// Last returns the version and the pad of the last change; 0 before the first one.
func (s *State) Last() (version, pad int) { return int(s.version.Load()), int(s.pad.Load()) }

// Tell notes that a version begins to leave now. Only the first call with the last version counts.
func (s *State) Tell(version int) {
	if int64(version) == s.version.Load() {
		s.told.CompareAndSwap(0, time.Now().UnixNano())
	}
}

// Serve serves the port until it fails: POST /change?version=&pad= calls change (unless it is nil), GET /told is the time of
// Tell in nanoseconds since 1970, GET /open is the number of open streams. It also serves http.DefaultServeMux.
func (s *State) Serve(addr string, change func()) error {
	http.HandleFunc("POST /change", func(_ http.ResponseWriter, r *http.Request) {
		version, _ := strconv.Atoi(r.FormValue("version"))
		pad, _ := strconv.Atoi(r.FormValue("pad"))
		s.told.Store(0)
		s.pad.Store(int64(pad))
		s.version.Store(int64(version))
		if change != nil {
			change()
		}
	})
	http.HandleFunc("GET /told", number(&s.told))
	http.HandleFunc("GET /open", number(&s.Open))
	return Listen(addr, http.DefaultServeMux)
}

// Listen serves a port until it fails.
func Listen(addr string, handler http.Handler) error {
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// number serves a number as text.
func number(n *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, fmt.Sprintln(n.Load())) }
}
