package main

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kootask/kootask/dialect"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// explainCommand explains errors without a server.
type explainCommand struct {
	Name    string `arg:"" name:"reason|code" help:"Reason of an error, like CREDENTIAL_REJECTED, or error code of KooDrive, like 13000309."`
	Dialect string `env:"KOOTASK_UPSTREAM_DIALECT" placeholder:"FILE" help:"Dialect of the server, for the meaning of codes: see docs/koodrive.md. Default: that of KooDrive's documents."`
}

// advice is what a person needs beside the message of a reason.
type advice struct{ Cause, Remedy string }

//go:embed explain.yaml
var advices []byte

// Run prints the explanation in each language.
func (c *explainCommand) Run(out output) error {
	p := &problems{}
	d := readDialect(p, "dialect", c.Dialect)
	if err := p.err(); err != nil {
		return err
	}
	text, err := explainName(*d, strings.ToUpper(c.Name))
	if err == nil {
		_, err = fmt.Fprint(out.stdout, text)
	}
	return err
}

// explainName explains a reason, an error code of KooDrive, or the result code of a failed task.
func explainName(d dialect.Dialect, name string) (string, error) {
	if number, known := taskv1.ErrorReason_value[name]; known && number != 0 {
		return explanation(name)
	}
	if found := reasonOfCode(d, name); found != "" {
		text, err := explanation(found)
		return fmt.Sprintf("%s is an error code of KooDrive. kootask reports it as %s.\n\n%s", name, found, text), err
	}
	if text, known := d.ResultCodes[name]; known {
		return fmt.Sprintf("%s is the result code of a failed task.\n\n%s\n%s\n", name, text.English, text.Chinese), nil
	}
	if strings.HasPrefix(name, "18") {
		return name + " has the form of a failed task's result code. KooDrive's documents do not say what it means.\n", nil
	}
	return "", usageError{errors.New("this is neither a reason nor a code of the dialect. docs/errors.md lists the reasons")}
}

// reasonOfCode returns the reason of an error code of KooDrive, whatever the HTTP status is; empty if the dialect has none.
func reasonOfCode(d dialect.Dialect, code string) string {
	for _, row := range d.Codes {
		if row.Status == 0 && row.Code == dialect.PlainCode(code) {
			return row.Reason
		}
	}
	return ""
}

// explanation returns what a person needs to know about a reason, in each language.
func explanation(name string) (string, error) {
	var all map[string]map[string]advice
	if err := yaml.Unmarshal(advices, &all); err != nil {
		return "", err
	}
	var b strings.Builder
	for i, words := range []struct{ language, cause, remedy string }{
		{reason.English, "Cause:  ", "Remedy: "}, {reason.Chinese, "原因：", "处理："},
	} {
		if i == 0 {
			_, _ = fmt.Fprintln(&b, name)
		}
		a := all[name][words.language]
		message := reason.Catalogue()[words.language][name]
		_, _ = fmt.Fprintf(&b, "\n%s\n%s%s\n%s%s\n", message, words.cause, a.Cause, words.remedy, a.Remedy)
	}
	return b.String(), nil
}
