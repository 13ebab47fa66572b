package main

import (
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// configCommand prints the values of the flags of serve.
type configCommand struct{ settings }

// Run prints a line for each flag. The output is a configuration file, except for hidden passwords.
func (c *configCommand) Run(k *kong.Context, out output) error {
	w := tabwriter.NewWriter(out.stdout, 0, 0, 1, ' ', 0)
	for _, flag := range k.Selected().Flags {
		if slices.Contains(commandLineFlags, flag.Name) {
			continue
		}
		value, err := shown(flag)
		if err != nil {
			return fmt.Errorf("printing %s: %w", flag.Name, err)
		}
		_, _ = fmt.Fprintf(w, "%s: %s\t# %s\n", flag.Name, value, c.origins[flag.Name].name)
	}
	return w.Flush()
}

// shown returns the value of a flag in YAML, on one line. The path of a file is absolute. A proxy's password is hidden.
func shown(flag *kong.Flag) (string, error) {
	value := flag.Target.Interface()
	switch v := value.(type) {
	case time.Duration:
		value = v.String()
	case slog.Level:
		value = strings.ToLower(v.String())
	case string:
		switch {
		case v == "":
		case isFile(flag):
			path, err := filepath.Abs(v)
			if err != nil {
				return "", err
			}
			value = path
		case flag.PlaceHolder == "URL":
			if u, err := url.Parse(v); err != nil || u.Host == "" || u.User != nil {
				value = user.ReplaceAllString(v, "${1}xxxxx@")
			}
		}
	}
	var n yaml.Node
	if err := n.Encode(value); err != nil {
		return "", err
	}
	switch {
	case n.Kind == yaml.SequenceNode:
		n.Style = yaml.FlowStyle
	case strings.ContainsAny(n.Value, "\n\t"):
		n.Style = yaml.DoubleQuotedStyle
	}
	text, err := yaml.Marshal(&n)
	return strings.TrimSpace(string(text)), err
}

// user matches the user and the password in a URL, even if the URL is invalid.
var user = regexp.MustCompile(`(?s)^([A-Za-z][A-Za-z0-9+.-]*://)?.*@`)
