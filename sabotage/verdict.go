package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	errGreen    = errors.New("the test stays green")
	errNotRun   = errors.New("the test did not run to its end")
	errSkipped  = errors.New("the test was skipped")
	errSilent   = errors.New("the test is red without a message")
	errCompile  = errors.New("the changed code does not compile")
	errAccident = errors.New("the test is red, but for something other than its assertions")
)

// event is a line of go test -json.
type event struct {
	Action, Test, Output string
}

// assertion matches a line that t.Errorf and similar functions print.
var assertion = regexp.MustCompile(`^\s+(\S+\.go:\d+: .*)`)

// accidents are the beginnings of lines about other failures than a failed assertion. A sabotage that hangs or crashes
// turns any test red, so it does not show that the named test works.
var accidents = []string{"panic: ", "fatal error: ", "WARNING: DATA RACE", "SIG"}

// verdict returns the first message of a test, given the output of go test -json. It fails unless the test is red
// because of its assertions.
func verdict(output []byte, test string) (said string, err error) {
	err = errNotRun
	lines := bufio.NewScanner(bytes.NewReader(output))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		ofTest := e.Test == test || strings.HasPrefix(e.Test, test+"/")
		switch {
		case e.Action == "build-output" && !strings.HasPrefix(e.Output, "#"):
			return "", fmt.Errorf("%w: %s", errCompile, strings.TrimSpace(e.Output))
		case e.Action == "output":
			for _, beginning := range accidents {
				if strings.HasPrefix(e.Output, beginning) {
					return "", fmt.Errorf("%w: %s", errAccident, strings.TrimSpace(e.Output))
				}
			}
			if m := assertion.FindStringSubmatch(e.Output); m != nil && ofTest && said == "" {
				said = m[1]
			}
		case e.Test != test:
		case e.Action == "fail":
			err = nil
		case e.Action == "pass":
			err = errGreen
		case e.Action == "skip":
			err = errSkipped
		}
	}
	if err == nil && said == "" {
		err = errSilent
	}
	return said, errors.Join(err, lines.Err())
}
