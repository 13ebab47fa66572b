// Package completion writes scripts that complete kootask's commands, flags and values in bash, zsh and fish. A script is
// static: it does not run kootask. Ids, addresses and other free texts are not completed.
//
//	script, err := completion.Script("bash", parser.Model)
package completion

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Shells are the shells that have a script.
var Shells = []string{"bash", "fish", "zsh"}

// Script returns the script for a shell of Shells. It is for commands without subcommands.
func Script(shell string, app *kong.Application) (string, error) {
	write, known := map[string]func(program) string{"bash": bash, "fish": fish, "zsh": zsh}[shell]
	if !known {
		return "", fmt.Errorf("unknown shell %q: must be one of %s", shell, strings.Join(Shells, ", "))
	}
	return write(read(app)), nil
}

// program is what the scripts know of a program.
type program struct {
	name     string
	flags    []flag // Of the program itself. Each command has them, too.
	commands []command
}

type command struct {
	name, help string
	flags      []flag
	argument   argument
}

// argument is the positional argument of a command. A command with several has the same values for each.
type argument struct {
	name   string   // Empty: the command takes no argument.
	values []string // Empty: any.
}

type flag struct {
	name, help string
	short      string   // Empty: none.
	takes      bool     // A value follows.
	file       bool     // The value is a file.
	values     []string // The value is one of these. Empty: any.
}

// read returns what is visible of an app.
func read(app *kong.Application) program {
	p := program{name: app.Name, flags: flags(app.Flags)}
	var names []string
	for _, node := range app.Children {
		if node.Hidden {
			continue
		}
		c := command{name: node.Name, help: summary(node.Help), flags: flags(node.Flags)}
		for _, value := range node.Positional {
			c.argument = argument{value.Name, enum(value)}
		}
		names = append(names, c.name)
		p.commands = append(p.commands, c)
	}
	for i := range p.commands {
		if c := &p.commands[i]; c.argument.name == "command" { // Of help.
			c.argument.values = names
		}
	}
	return p
}

// flags returns the visible flags. A flag that can be negated counts twice.
func flags(all []*kong.Flag) (list []flag) {
	for _, f := range all {
		if f.Hidden {
			continue
		}
		made := flag{
			name: f.Name, help: summary(f.Help), takes: !f.IsBool(), file: f.PlaceHolder == "FILE", values: enum(f.Value),
		}
		if f.Short != 0 {
			made.short = string(f.Short)
		}
		list = append(list, made)
		if f.Tag.Negatable != "" {
			made.name, made.help = "no-"+f.Name, "Turn --"+f.Name+" off."
			list = append(list, made)
		}
	}
	return list
}

// enum returns the values that a value may have; nil if it has no list of them.
func enum(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

// summary returns the first sentence of a help text.
func summary(help string) string {
	first, _, more := strings.Cut(help, ". ")
	if more {
		first += "."
	}
	return first
}

// options returns the flags in the form of the command line.
func options(all []flag) (list []string) {
	for _, f := range all {
		if f.short != "" {
			list = append(list, "-"+f.short)
		}
		list = append(list, "--"+f.name)
	}
	return list
}

// quoted returns a text in single quotes, for a shell in which a backslash has no effect there.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
