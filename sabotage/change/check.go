package change

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
)

// Check applies each change and type-checks the package. It returns one error per change; nil for a valid one. It must
// run in the root of the module, whose packages must compile. It links and runs nothing, so many changes take seconds.
//
// It does not check tests and packages that import the changed one: they seldom depend on an expression inside a
// declaration.
func Check(ctx context.Context, changes []Change) ([]error, error) {
	s, folders := &source{}, map[string]bool{}
	errs, changed := make([]error, len(changes)), make([]file, len(changes))
	for i, c := range changes {
		if changed[i], errs[i] = c.apply(s); errs[i] == nil && path.Ext(changed[i].path) == ".go" {
			folders["./"+path.Dir(changed[i].path)] = true
		}
	}
	if len(folders) == 0 {
		return errs, nil
	}
	compiled, err := exports(ctx, slices.Sorted(maps.Keys(folders)))
	if err != nil {
		return nil, err
	}
	imports := importer.ForCompiler(s.set, "gc", func(name string) (io.ReadCloser, error) { return os.Open(compiled[name]) })
	for i := range changes {
		if errs[i] == nil && path.Ext(changed[i].path) == ".go" {
			errs[i] = s.compile(changed[i], imports)
		}
	}
	return errs, nil
}

// compile type-checks the package of a changed file.
func (s *source) compile(changed file, imports types.Importer) error {
	parsed, err := s.parse(changed)
	if err != nil {
		return fmt.Errorf("does not compile: %w", err)
	}
	folder := path.Dir(changed.path)
	var files []*ast.File // Sorted, so that the same error always comes first.
	for _, name := range slices.Sorted(maps.Keys(s.packages[folder].files)) {
		if name == changed.path {
			files = append(files, parsed)
		} else {
			files = append(files, s.packages[folder].files[name])
		}
	}
	config := types.Config{Importer: imports}
	if _, err := config.Check(folder, s.set, files, nil); err != nil {
		return fmt.Errorf("does not compile: %w", err)
	}
	return nil
}

// exports returns the files with the export data of packages and their dependencies, by import path. go compiles those
// that are not in its cache.
func exports(ctx context.Context, folders []string) (map[string]string, error) {
	var output, problem bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Export"}, folders...)...)
	cmd.Stdout, cmd.Stderr = &output, &problem
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, bytes.TrimSpace(problem.Bytes()))
	}
	files := map[string]string{}
	for lines := json.NewDecoder(&output); ; {
		var listed struct{ ImportPath, Export string }
		err := lines.Decode(&listed)
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		files[listed.ImportPath] = listed.Export
	}
}
