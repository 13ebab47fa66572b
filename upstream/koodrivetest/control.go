package koodrivetest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxControl limits the body of a request to the control, in bytes.
const maxControl = 1 << 20

// changes are the routes that change the state. The id comes from the path, if it has one.
var changes = []struct {
	route, about string
	do           func(k *KooDrive, id string, body []byte) error
}{
	{"PUT /simulate/script", "adds or replaces the credentials, tasks and settings of a script", (*KooDrive).putScript},
	{"PUT /simulate/tasks/{id}", "adds or replaces a task, which is then at its first step", (*KooDrive).putTask},
	{"DELETE /simulate/tasks/{id}", "forgets a task", func(k *KooDrive, id string, _ []byte) error {
		k.RemoveTask(id)
		return nil
	}},
	{"PUT /simulate/fault", "does a fault to every answer, in place of the steps' faults", (*KooDrive).putFault},
	{"DELETE /simulate/fault", "ends that fault", func(k *KooDrive, _ string, _ []byte) error {
		k.SetFault(nil)
		return nil
	}},
	{"DELETE /simulate/requests", "forgets the log", func(k *KooDrive, _ string, _ []byte) error {
		k.ForgetRequests()
		return nil
	}},
}

// The routes that only read.
const (
	requestsRoute, requestsAbout = "GET /simulate/requests", "the log of requests as JSON, oldest first"
	helpRoute, helpAbout         = "GET /simulate/", "this help"
)

// Control returns the handler of the paths under /simulate/, which offer a KooDrive's methods over HTTP: see
// docs/simulate.md. Put it in front of the KooDrive, which does not serve these paths and does not log requests to
// them. Do not use an [http.ServeMux] for that: it redirects paths that the KooDrive must see unchanged. The control
// requires no credential.
//
// A change is answered with 204, an invalid script with 400 and one line of text, a body above maxControl with 413. In
// the log, each Authorization is shown as the first 8 hexadecimal digits of its SHA-256.
func (k *KooDrive) Control() http.Handler {
	mux := http.NewServeMux()
	for _, c := range changes {
		mux.HandleFunc(c.route, func(w http.ResponseWriter, r *http.Request) {
			var large *http.MaxBytesError
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControl))
			if errors.As(err, &large) {
				http.Error(w, "the body has more than 1 MiB", http.StatusRequestEntityTooLarge)
				return
			}
			if err == nil {
				err = c.do(k, r.PathValue("id"), body)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	mux.HandleFunc(requestsRoute, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(encode(logged(k.Requests())), '\n'))
	})
	mux.HandleFunc(helpRoute+"{$}", writeHelp)
	return mux
}

func writeHelp(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, c := range changes {
		_, _ = fmt.Fprintf(w, "%-28s %s\n", c.route, c.about)
	}
	_, _ = fmt.Fprintf(w, "%-28s %s\n%-28s %s\n", requestsRoute, requestsAbout, helpRoute, helpAbout)
}

func (k *KooDrive) putScript(_ string, body []byte) error {
	s, err := ParseScript(body)
	if err != nil {
		return err
	}
	k.Apply(s)
	return nil
}

func (k *KooDrive) putTask(id string, body []byte) error {
	t := Task{ID: id} // The body may omit the id.
	if err := parse(body, &t); err != nil {
		return err
	}
	if t.ID != id {
		return fmt.Errorf("/id: %.40q is not %.40q, the id in the URL", t.ID, id)
	}
	k.SetTask(t)
	return nil
}

func (k *KooDrive) putFault(_ string, body []byte) error {
	f := new(Fault)
	if err := parse(body, f); err != nil {
		return err
	}
	k.SetFault(f)
	return nil
}
