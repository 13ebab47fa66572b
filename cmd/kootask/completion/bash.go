package completion

import (
	"fmt"
	"strings"
)

// bash returns the script for bash from 3.2 on. Files are left to readline, which quotes their names; that needs bash 4.
//
// Readline splits words at "=", which is then a word of its own: "--output=js" is three words.
func bash(p program) string {
	var words, values strings.Builder
	for _, c := range p.commands {
		options := strings.Join(options(append(p.flags, c.flags...)), " ")
		arguments := strings.Join(c.argument.values, " ")
		if arguments == "" { // There is nothing else to offer.
			arguments = options
		}
		fmt.Fprintf(&words, "\t%s) flags=%s arguments=%s ;;\n", c.name, quoted(options), quoted(arguments))
		for _, f := range c.flags {
			pattern := c.name + "/--" + f.name
			if f.short != "" {
				pattern += "|" + c.name + "/-" + f.short
			}
			switch {
			case !f.takes:
			case f.file:
				fmt.Fprintf(&values, "\t%s) compopt -o default 2>/dev/null; return ;;\n", pattern)
			default:
				fmt.Fprintf(&values, "\t%s) words=%s ;;\n", pattern, quoted(strings.Join(f.values, " ")))
			}
		}
	}
	var names []string
	for _, c := range p.commands {
		names = append(names, c.name)
	}
	root := strings.Join(options(p.flags), " ")
	return strings.NewReplacer(
		"@NAME@", p.name, "@ROOT_FLAGS@", quoted(root), "@COMMANDS@", quoted(strings.Join(names, " ")),
		"@WORDS@", words.String(), "@VALUES@", values.String(),
	).Replace(bashScript)
}

const bashScript = `# Completes @NAME@ in bash. Made by: @NAME@ completion bash
_@NAME@() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} prefix='' command='' i
	local flags=@ROOT_FLAGS@ arguments=@COMMANDS@ words=''
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-*) ;;
		*) command=${COMP_WORDS[i]}; break ;;
		esac
	done
	case $command in
	'') ;;
@WORDS@	*) return ;;
	esac
	if [[ $current == '=' ]]; then
		current=''
	elif [[ $previous == '=' && $COMP_CWORD -ge 2 ]]; then
		previous=${COMP_WORDS[COMP_CWORD-2]}
	elif [[ $current == --*=* ]]; then
		previous=${current%%=*} prefix=$previous= current=${current#*=}
	fi
	case $command/$previous in
@VALUES@	*)
		case $current in
		-*) words=$flags ;;
		*) words=$arguments ;;
		esac
		;;
	esac
	COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$current"))
}
complete -F _@NAME@ @NAME@
`
