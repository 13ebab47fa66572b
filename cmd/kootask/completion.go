package main

import (
	"fmt"

	"github.com/alecthomas/kong"

	"github.com/kootask/kootask/cmd/kootask/completion"
)

// completionCommand prints a completion script.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: bash, zsh or fish."`
}

// Help is shown below the command's help.
func (completionCommand) Help() string {
	return "To try it in bash: source <(kootask completion bash). " +
		"docs/cli.md says how to install the scripts."
}

// Run prints the script.
func (c *completionCommand) Run(out output, parser *kong.Kong) error {
	script, err := completion.Script(c.Shell, parser.Model)
	if err == nil {
		_, err = fmt.Fprint(out.stdout, script)
	}
	return err
}
