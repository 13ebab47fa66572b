package completion

import (
	"fmt"
	"strings"
)

// zsh returns the script for zsh, which may be sourced or be the file _NAME in a folder of fpath.
func zsh(p program) string {
	var commands, cases strings.Builder
	for _, c := range p.commands {
		fmt.Fprintf(&commands, "\t\t%s\n", quoted(c.name+":"+escaped(c.help, ":")))
		fmt.Fprintf(&cases, "\t\t%s)\n\t\t\t_arguments", c.name)
		for _, f := range append(p.flags, c.flags...) {
			cases.WriteString(" \\\n\t\t\t\t" + zshOption(f))
		}
		if c.argument.name != "" {
			cases.WriteString(" \\\n\t\t\t\t" + quoted("*:"+c.argument.name+":"+zshValues(c.argument.values)))
		}
		cases.WriteString("\n\t\t\t;;\n")
	}
	var root strings.Builder
	for _, f := range p.flags {
		root.WriteString(zshOption(f) + " \\\n\t\t")
	}
	return strings.NewReplacer(
		"@NAME@", p.name, "@ROOT@", root.String(), "@COMMANDS@", commands.String(), "@CASES@", cases.String(),
	).Replace(zshScript)
}

// zshOption returns a flag as _arguments reads it. The short and the long name exclude each other.
func zshOption(f flag) string {
	if f.short == "" {
		return zshName(f, "--"+f.name, "=")
	}
	return zshName(f, "(--"+f.name+")-"+f.short, "+") + " " + zshName(f, "(-"+f.short+")--"+f.name, "=")
}

// zshName returns one name of a flag. sign says where its value stands: after "=", or "+", in the same word or the next one.
func zshName(f flag, name, sign string) string {
	help := "[" + escaped(f.help, "[]") + "]"
	switch {
	case f.file:
		return quoted(name + sign + help + ":file:_files")
	case f.takes:
		return quoted(name + sign + help + ":value:" + zshValues(f.values))
	default:
		return quoted(name + help)
	}
}

// zshValues returns the action that offers values. A space offers nothing.
func zshValues(values []string) string {
	if len(values) == 0 {
		return " "
	}
	return "(" + strings.Join(values, " ") + ")"
}

// escaped returns a text with a backslash before each of the characters, and before backslashes.
func escaped(text, characters string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(characters+`\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

const zshScript = `#compdef @NAME@
# Completes @NAME@ in zsh. Made by: @NAME@ completion zsh
_@NAME@() {
	local curcontext=$curcontext state line
	local -a commands
	local -A opt_args
	commands=(
@COMMANDS@	)
	_arguments -C \
		@ROOT@'1:command:->command' \
		'*::argument:->argument'
	case $state in
	command)
		_describe command commands
		;;
	argument)
		case $words[1] in
@CASES@		esac
		;;
	esac
}
if [ "$funcstack[1]" = _@NAME@ ]; then
	_@NAME@ "$@"
else
	compdef _@NAME@ @NAME@
fi
`
