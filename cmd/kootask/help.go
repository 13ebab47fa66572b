package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/alecthomas/kong"
)

// helpCommand prints the help of a command.
type helpCommand struct {
	Command string `arg:"" optional:"" help:"Command to explain. Default: all of them, in short."`
}

// Run prints the help as the flag --help does.
func (c *helpCommand) Run(parser *kong.Kong) error {
	args := []string{"--help"}
	if c.Command != "" {
		if !slices.ContainsFunc(parser.Model.Children, func(n *kong.Node) bool { return n.Name == c.Command }) {
			return usageError{fmt.Errorf("unknown command %q: kootask help lists the commands", c.Command)}
		}
		args = []string{c.Command, "--help"}
	}
	_, _ = parser.Parse(args) // Once the help is printed, a missing argument does not matter.
	return nil
}

// reportUsage prints an error of the command line, and returns the exit code. If the command is missing, the whole help
// precedes the error; if an argument is missing, the command's usage follows it.
func reportUsage(stderr io.Writer, parser *kong.Kong, err error) int {
	var parse *kong.ParseError
	if !errors.As(err, &parse) || parse.Context == nil || parse.Context.Error != nil {
		return report(stderr, usageError{err})
	}
	parser.Stdout = stderr // kong prints all help there.
	command := parse.Context.Selected()
	if command == nil {
		_ = parse.Context.PrintUsage(false)
		_, _ = fmt.Fprintln(stderr)
		return report(stderr, usageError{errors.New("the command is missing: choose one of those above")})
	}
	code := report(stderr, usageError{err})
	if lacksArgument(command, parse.Context.Path) {
		_ = kong.DefaultShortHelpPrinter(kong.HelpOptions{}, parse.Context)
	}
	return code
}

// lacksArgument reports whether a command line lacks a required argument of its command.
func lacksArgument(command *kong.Node, path []*kong.Path) bool {
	return slices.ContainsFunc(command.Positional, func(argument *kong.Positional) bool {
		return argument.Required && !slices.ContainsFunc(path, func(p *kong.Path) bool { return p.Positional == argument })
	})
}
