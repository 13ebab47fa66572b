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
	errNotRun   = errors.New("the test has not run to its end")
	errSkipped  = errors.New("the test was skipped")
	errSilent   = errors.New("the test is red without saying why")
	errCompile  = errors.New("it does not compile")
	errAccident = errors.New("the test is red, but not for what it asserts")
)

// event is a line of go test -json.
type event struct {
	Action, Test, Output string
}

// assertion is a line that t.Errorf and its like print.
var assertion = regexp.MustCompile(`^\s+(\S+\.go:\d+: .*)`)

// broken are the beginnings of lines that say that something else has gone wrong than what a test asserts. A sabotage that
// hangs or crashes would turn any test red: that the right one does shows nothing then.
var broken = []string{"panic: ", "fatal error: ", "WARNING: DATA RACE", "SIG"}

// verdict returns what a test has said first, given the output of go test -json, if it is red because of what it asserts.
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
			for _, beginning := range broken {
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
