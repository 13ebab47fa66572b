// Package manpage writes the manual page of a program from kong's model of its command line, in roff with the macros of
// man(7). It leaves out the date, so that equal programs have equal pages.
//
//	fmt.Print(manpage.Page{App: parser.Model, Version: "1.2.3"})
package manpage

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// Page is a manual page in section 1.
type Page struct {
	App     *kong.Application
	Version string
	// Purpose follows the name, without a capital and a full stop.
	Purpose string
	// Variables and Exits have a row for each environment variable that is not a flag's, and for each exit code. Code in
	// backquotes is bold.
	Variables, Exits [][2]string
}

// String returns the page.
func (p Page) String() string {
	var b builder
	name := p.App.Name
	b.line(`.TH %s 1 "" "%s %s" "User Commands"`, strings.ToUpper(name), name, text(p.Version))
	b.line(".SH NAME\n%s \\- %s", name, text(p.Purpose))
	b.line(".SH SYNOPSIS\n.B %s\n.I command\n.RI [ flags ]", name)
	b.line(".SH DESCRIPTION\n%s", text(p.App.Help))
	b.flags(p.App.Flags)
	b.line(".SH COMMANDS")
	for _, command := range p.App.Children {
		if !command.Hidden {
			b.command(command)
		}
	}
	b.table("ENVIRONMENT", p.Variables)
	b.table("EXIT STATUS", p.Exits)
	return b.String()
}

type builder struct{ strings.Builder }

func (b *builder) line(format string, values ...any) { _, _ = fmt.Fprintf(b, format+"\n", values...) }

func (b *builder) command(c *kong.Node) {
	b.line(".SS %s\n.B %s\n.PP\n%s", c.Name, text(c.FullPath()+strings.TrimPrefix(c.Summary(), c.Name)), text(c.Help))
	for paragraph := range strings.SplitSeq(c.Detail, "\n\n") {
		if paragraph != "" {
			b.line(".PP\n%s", text(paragraph))
		}
	}
	for _, argument := range c.Positional {
		b.line(".TP\n.I %s\n%s", text(argument.Name), text(argument.Help))
	}
	b.flags(c.Flags)
}

// flags writes the visible flags, each with its default and its environment variable.
func (b *builder) flags(all []*kong.Flag) {
	for _, f := range all {
		if f.Hidden {
			continue
		}
		names := bold("--" + f.Name)
		if f.Short != 0 {
			names = bold("-"+string(f.Short)) + ", " + names
		}
		if f.Tag.Negatable != "" {
			names += ", " + bold("--no-"+f.Name)
		}
		if !f.IsBool() {
			names += "=" + italic(f.FormatPlaceHolder())
		}
		help := text(f.Help)
		if f.HasDefault && f.Default != "" {
			help += " Default: " + text(f.Default) + "."
		}
		if len(f.Envs) > 0 {
			help += " Environment: " + text(strings.Join(f.Envs, ", ")) + "."
		}
		b.line(".TP\n%s\n%s", names, help)
	}
}

func (b *builder) table(title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	b.line(".SH %s", title)
	for _, row := range rows {
		b.line(".TP\n%s\n%s", bold(row[0]), text(row[1]))
	}
}

func bold(s string) string   { return `\fB` + escape(s) + `\fP` }
func italic(s string) string { return `\fI` + escape(s) + `\fP` }

var code = regexp.MustCompile("`[^`]*`")

// text returns a paragraph on one line. A full stop or a quote at its beginning would be a request to roff.
func text(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	escaped, end := "", 0
	for _, at := range code.FindAllStringIndex(s, -1) {
		escaped += escape(s[end:at[0]]) + bold(s[at[0]+1:at[1]-1])
		end = at[1]
	}
	escaped += escape(s[end:])
	if strings.HasPrefix(escaped, ".") || strings.HasPrefix(escaped, "'") {
		escaped = `\&` + escaped
	}
	return escaped
}

// escape returns text for roff. A hyphen becomes the ASCII character, so that flags can be copied. Characters beyond ASCII
// have their number, because not all formatters read UTF-8.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '\'':
			b.WriteString(`\(aq`)
		case r > '~':
			_, _ = fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
