package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/internal/strictyaml"
)

// contextFlags name a connection whose values stand in a file. No command writes that file.
type contextFlags struct {
	Context     string `placeholder:"NAME" help:"Named connection of --context-file. Flags and the environment win over its values."`
	ContextFile string `placeholder:"FILE" help:"File with named connections, which only its owner may read. Default: kootask/contexts.yaml in your configuration folder, such as ~/.config."`
}

// BeforeResolve makes the named connection a source of flags. kong calls it once the command line and the environment are read.
func (contextFlags) BeforeResolve(ctx *kong.Context) error {
	var f contextFlags
	for _, flag := range ctx.Flags() {
		switch flag.Name {
		case "context":
			f.Context, _ = ctx.FlagValue(flag).(string)
		case "context-file":
			f.ContextFile, _ = ctx.FlagValue(flag).(string)
		}
	}
	if f.Context == "" {
		return nil
	}
	values, err := f.values()
	if err != nil {
		return f.named(err)
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		value := values[flag.Name]
		if inEnvironment(flag) {
			value = nil
		}
		return value, nil
	}))
	return nil
}

// inEnvironment reports whether the environment sets a flag, or the token in place of its file. kong lets a resolver win over
// the environment.
func inEnvironment(flag *kong.Flag) bool {
	return flag.Name == "token-file" && os.Getenv(tokenVariable) != "" || variable(flag) != ""
}

// variable returns the name of the environment variable that sets a flag; empty without one.
func variable(flag *kong.Flag) string {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return name
		}
	}
	return ""
}

// named adds the context in use to each line of an error; without a context it returns err.
func (f contextFlags) named(err error) error {
	if err == nil || f.Context == "" {
		return err
	}
	var lines usageError
	for line := range strings.SplitSeq(err.Error(), "\n") {
		lines = append(lines, fmt.Errorf("context %s: %s", printable(f.Context), line))
	}
	return lines
}

// values returns the values of the context by the names of their flags.
func (f contextFlags) values() (map[string]any, error) {
	path := f.ContextFile
	if path == "" {
		folder, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("set --context-file: %w", err)
		}
		path = filepath.Join(folder, "kootask", "contexts.yaml")
	}
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	all, err := parseContexts(text, filepath.Dir(path))
	if err != nil {
		var lines usageError
		for line := range strings.SplitSeq(err.Error(), "\n") {
			lines = append(lines, fmt.Errorf("%s:%s", path, line))
		}
		return nil, lines
	}
	values, known := all[f.Context]
	if !known {
		names := strings.Join(slices.Sorted(maps.Keys(all)), ", ")
		if names == "" {
			names = "no contexts"
		}
		return nil, fmt.Errorf("unknown context: %s has %s", path, names)
	}
	return values, nil
}

// readPrivate returns the content of a file that only its owner may use.
func readPrivate(path string) ([]byte, error) {
	text, err := credfile.Read(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	// Windows has other permissions, which Go does not report.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("other users can read or change %s: run chmod 600 %s", path, path)
	}
	return text, nil
}

var (
	contextForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	// secretKeys matches keys that would hold a secret themselves.
	secretKeys = regexp.MustCompile(`(?i)token|secret|passw|credential|auth`)
)

// parseContexts returns the contexts of a file in a folder by name, each with its values by the names of their flags. The
// error has a line for each problem, and quotes no value.
func parseContexts(text []byte, folder string) (map[string]map[string]any, error) {
	all, r := map[string]map[string]any{}, &contextReader{folder: folder}
	err := r.Read(text, func(n *yaml.Node, path string) {
		r.Entries(n, path, func(key, value *yaml.Node, at string) {
			if !contextForm.MatchString(key.Value) {
				r.Problem(key, at, "a name has 1 to 64 letters, digits, dots, dashes or underscores")
			}
			all[key.Value] = r.context(value, at)
		})
	})
	return all, err
}

// contextReader reads contexts, and collects the problems.
type contextReader struct {
	strictyaml.Reader
	folder string // Relative file names begin here.
}

// context reads one context.
func (r *contextReader) context(n *yaml.Node, path string) map[string]any {
	values := map[string]any{}
	keys := map[string]func(n *yaml.Node, path string) any{
		"addr": r.text, "user_id": r.text, "tls": r.boolean,
		"ca": r.file, "cert": r.file, "key": r.file, "caller_token_file": r.file, "token_file": r.file,
	}
	r.Entries(n, path, func(key, value *yaml.Node, at string) {
		read, known := keys[key.Value]
		switch {
		case known:
			values[strings.ReplaceAll(key.Value, "_", "-")] = read(value, at)
		case secretKeys.MatchString(key.Value):
			r.Problem(key, at, "must not be here: name a file that holds the secret, with token_file or caller_token_file")
		default:
			r.Problem(key, at, "unknown key. Known are %s", strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
		}
	})
	return values
}

func (r *contextReader) text(n *yaml.Node, path string) any {
	text, _ := r.Text(n, path)
	return text
}

func (r *contextReader) boolean(n *yaml.Node, path string) any {
	var value bool
	r.Boolean(n, path, &value)
	return value
}

// file reads the name of a file.
func (r *contextReader) file(n *yaml.Node, path string) any {
	name, ok := r.Text(n, path)
	if ok && (name == "" || strings.ContainsFunc(name, unicode.IsControl)) {
		r.Problem(n, path, "must be the name of a file")
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.folder, name)
}
