package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/internal/strictyaml"
)

// configFlag names a file with values of flags.
type configFlag struct {
	Config string `placeholder:"FILE" help:"YAML file with values of flags: see docs/configuration.md. Flags and the environment win over it."`

	origins map[string]origin // By the name of the flag. BeforeResolve sets it.
}

// origin is where the value of a flag comes from.
type origin struct {
	name string // "flag", "default", the name of a variable, or FILE:LINE.
	file bool   // It is a line of the file.
}

// commandLineFlags are flags of serve that cannot be in the file.
var commandLineFlags = []string{"config", "check", "online"}

// BeforeResolve makes the file a source of flags. kong calls it once the command line and the environment are read.
func (f *configFlag) BeforeResolve(ctx *kong.Context) error {
	f.origins = map[string]origin{}
	for _, flag := range ctx.Flags() {
		f.origins[flag.Name] = origin{name: "default"}
		if name := variable(flag); name != "" {
			f.origins[flag.Name] = origin{name: name}
		}
		if flag.Name == "config" {
			f.Config, _ = ctx.FlagValue(flag).(string)
		}
	}
	for _, part := range ctx.Path {
		if part.Flag != nil {
			f.origins[part.Flag.Name] = origin{name: "flag"}
		}
	}
	if f.Config == "" {
		return nil
	}
	text, err := credfile.Read(f.Config)
	if err != nil {
		return usageError{fmt.Errorf("--config: %w", err)}
	}
	values, err := parseConfig(text, filepath.Dir(f.Config), ctx.Selected().Flags)
	if err != nil {
		var lines usageError
		for line := range strings.SplitSeq(err.Error(), "\n") {
			lines = append(lines, fmt.Errorf("%s:%s", f.Config, line))
		}
		return lines
	}
	for name, value := range values {
		if f.origins[name].name == "default" {
			f.origins[name] = origin{name: f.Config + ":" + strconv.Itoa(value.line), file: true}
		}
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if !f.origins[flag.Name].file {
			return nil, nil
		}
		return values[flag.Name].value, nil
	}))
	return nil
}

// name returns the name of a flag in errors, with the file and the line if its value comes from there.
func (f *configFlag) name(flag string) string {
	if from := f.origins[flag]; from.file {
		return from.name + ": " + flag
	}
	return "--" + flag
}

// configValue is the value of a flag in a file.
type configValue struct {
	value any // As kong's resolvers return it: a text, a boolean or a list.
	line  int
}

// parseConfig returns the values of a file in a folder, by the names of their flags. The error has a line for each
// problem, and quotes no value.
func parseConfig(text []byte, folder string, flags []*kong.Flag) (map[string]configValue, error) {
	known, values := map[string]*kong.Flag{}, map[string]configValue{}
	for _, flag := range flags {
		if !slices.Contains(commandLineFlags, flag.Name) {
			known[flag.Name] = flag
		}
	}
	r := &configReader{folder: folder}
	err := r.Read(text, func(n *yaml.Node, path string) {
		r.Entries(n, path, func(key, value *yaml.Node, at string) {
			if flag := known[key.Value]; flag != nil {
				values[key.Value] = configValue{r.value(flag, value, at), key.Line}
				return
			}
			r.Problem(key, at, "%s", unknownKey(key.Value, known))
		})
	})
	return values, err
}

// secretInPlace matches keys that would hold a secret themselves.
var secretInPlace = regexp.MustCompile(`(?i)secret|passw|token`)

// unknownKey says what to do about a key that is not known.
func unknownKey(key string, known map[string]*kong.Flag) string {
	letters := func(text string) string {
		return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(text))
	}
	for name := range known {
		if letters(name) == letters(key) {
			return "unknown key. Write " + name
		}
	}
	switch {
	case slices.Contains(commandLineFlags, key):
		return "must not be in the file. Use --" + key + " on the command line"
	case secretInPlace.MatchString(key):
		return "must not be in the file. kootask reads secrets from files of their own, such as app-secret-file"
	default:
		return "unknown key. Keys are the flags of kootask serve, without --"
	}
}

// configReader reads the values of flags, and collects the problems.
type configReader struct {
	strictyaml.Reader
	folder string // Relative file names begin here.
}

var decimal = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,9})$`)

// value reads the value of a flag. After a problem, the result is not used.
func (r *configReader) value(flag *kong.Flag, n *yaml.Node, path string) any {
	text, isText := n.Value, n.Kind == yaml.ScalarNode && n.Tag == "!!str"
	var good bool
	var want string
	switch flag.Target.Interface().(type) {
	case bool:
		var value bool
		r.Boolean(n, path, &value)
		return value
	case []string:
		return r.list(n, path)
	case int:
		_, err := strconv.Atoi(text)
		good, want = n.Tag == "!!int" && decimal.MatchString(text) && err == nil, "a whole number"
	case time.Duration:
		_, err := time.ParseDuration(text)
		good, want = isText && err == nil, "a duration such as 2.5s"
	case slog.Level:
		good, want = isText && new(slog.Level).UnmarshalText([]byte(text)) == nil, "debug, info, warn or error"
	default:
		switch choices := strings.Split(strings.TrimRight(flag.Enum, ","), ","); {
		case flag.Enum != "":
			good, want = isText && slices.Contains(strings.Split(flag.Enum, ","), text), strings.Join(choices, " or ")
		case isFile(flag):
			good, want = isText && !strings.ContainsFunc(text, unicode.IsControl), "the name of a file"
			if text != "" && !filepath.IsAbs(text) {
				text = filepath.Join(r.folder, text)
			}
		default:
			good, want = isText, "a text. Quote it"
		}
	}
	if !good {
		r.Problem(n, path, "must be %s", want)
	}
	return text
}

// isFile reports whether the value of a flag is the name of a file.
func isFile(flag *kong.Flag) bool { return flag.PlaceHolder == "FILE" }

// list reads a list of texts.
func (r *configReader) list(n *yaml.Node, path string) any {
	texts := []any{}
	if n.Kind != yaml.SequenceNode {
		r.Problem(n, path, "must be a list of texts, such as [a, b]")
		return texts
	}
	for i, item := range n.Content {
		text, _ := r.Text(item, fmt.Sprintf("%s[%d]", path, i))
		texts = append(texts, text)
	}
	return texts
}
