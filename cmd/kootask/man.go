package main

import (
	"fmt"
	"strconv"

	"github.com/alecthomas/kong"

	"github.com/kootask/kootask/cmd/kootask/manpage"
	"github.com/kootask/kootask/internal/version"
)

// manCommand prints the manual page, for packages.
type manCommand struct{}

// Run prints the page, in roff.
func (manCommand) Run(out output, parser *kong.Kong) error {
	page := manpage.Page{
		App: parser.Model, Version: version.String(), Purpose: "report the status of KooDrive tasks",
		Variables: [][2]string{
			{tokenVariable, "The KooDrive token, for commands without `--token-file`."},
			{"LC_ALL, LC_MESSAGES, LANG", "The language of the output for people. The first one that is set decides."},
			{"NO_COLOR", "If it is set, colours are off unless `--color` says otherwise."},
		},
	}
	for _, e := range exits {
		page.Exits = append(page.Exits, [2]string{strconv.Itoa(e.code), e.meaning})
	}
	_, err := fmt.Fprint(out.stdout, page)
	return err
}
