package completion

import (
	"fmt"
	"strings"
)

// fish returns the script for fish from 3.0 on.
func fish(p program) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Completes %[1]s in fish. Made by: %[1]s completion fish\n", p.name)
	line := func(when, what, help string) {
		fmt.Fprintf(&b, "complete -c %s -n %s %s -d %s\n", p.name, inFish(when), what, inFish(help))
	}
	option := func(when string, f flag) {
		what := "-l " + f.name
		if f.short != "" {
			what = "-s " + f.short + " " + what
		}
		switch {
		case f.file:
			what += " -r -F"
		case f.takes:
			what += " -x"
		}
		if len(f.values) > 0 {
			what += " -a " + inFish(strings.Join(f.values, " "))
		}
		line(when, what, f.help)
	}
	fmt.Fprintf(&b, "complete -c %s -f\n", p.name)
	for _, f := range p.flags {
		option("true", f)
	}
	for _, c := range p.commands {
		line("__fish_use_subcommand", "-a "+c.name, c.help)
	}
	for _, c := range p.commands {
		when := "__fish_seen_subcommand_from " + c.name
		for _, f := range c.flags {
			option(when, f)
		}
		if len(c.argument.values) > 0 {
			line(when, "-a "+inFish(strings.Join(c.argument.values, " ")), c.argument.name)
		}
	}
	return b.String()
}

// inFish returns a text in single quotes, in which fish knows the escapes \' and \\.
func inFish(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
