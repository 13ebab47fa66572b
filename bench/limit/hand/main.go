// Command hand is the limit of a REST request for a task in memory, HAND: a handler of net/http, and protojson.
package main

import (
	"flag"
	"log"
	"net/http"

	"github.com/kootask/kootask/bench/control"
	"github.com/kootask/kootask/bench/task"
)

func main() {
	addr := flag.String("addr", "", "address of the port")
	flag.Parse()
	known := task.New("done-1", 0, 0, true)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/tasks/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != known.GetTaskId() {
			http.NotFound(w, r)
			return
		}
		body, err := task.JSON(known)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	log.Fatal(control.Listen(*addr, mux))
}
