package dialect

import (
	"go.yaml.in/yaml/v3"

	"github.com/kootask/kootask/internal/strictyaml"
)

// reader reads a document into a Dialect.
type reader struct {
	strictyaml.Reader
	reasons  []string
	into     *Dialect
	overlaid bool
}

// read reads a document of one mapping.
func (r *reader) read(text []byte) error {
	return r.Read(text, func(n *yaml.Node, path string) {
		r.Mapping(n, path, map[string]func(*yaml.Node, string){
			"token": r.token, "headers": r.headers, "signature": r.signature, "codes": r.codes,
			"statuses":     func(n *yaml.Node, path string) { r.numbers(n, path, r.into.Statuses, 3, statuses) },
			"task_types":   func(n *yaml.Node, path string) { r.numbers(n, path, r.into.TaskTypes, 1, taskTypes) },
			"result_codes": r.resultCodes,
		})
	})
}

// The documented values, whose numbers are their places.
var (
	statuses  = []string{"NEW", "EXECUTING", "SUCCESS", "FAILED"}
	taskTypes = []string{"TRANSFER_AND_DELETION", "BATCH_IMPORT"}
)
