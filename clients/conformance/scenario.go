package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// scenario is a scenario of scenarios.yaml: the world, the command of the client, and the expected results.
type scenario struct {
	// Name is for people. Scenarios of the errors are named after the reason.
	Name string
	// Text replaces $TEXT in the other fields, repeated this many times.
	Text *struct {
		Text  string
		Times int
	}

	// KooDrive is the script of kootask simulate, which also accepts the token of the call. Serve are the flags of kootask
	// serve, in addition to quick polls. Others are tasks that other clients watch with the same token, before the client.
	KooDrive json.RawMessage
	Serve    []string
	Others   []string
	// Stub replaces both. It has one answer for each call, and the last one for all further calls.
	Stub [][]step
	// Nobody: no server listens at the address.
	Nobody bool

	// Call is the client's command. The address is added, and a token if it is absent and the call is not Anonymous.
	Call      command
	Anonymous bool
	// Meanwhile are the acts while the client runs.
	Meanwhile []act
	// Until is a kind of line: the client is ended after the first such line, which need not be its last.
	Until string

	// Expect are the lines that the client has to print, Received are the calls that the stub has to get. Quiet: KooDrive gets
	// no requests after the client's last line.
	Expect   []expected
	Received []received
	Quiet    bool
}

// act changes the world after the client's first line of some kind.
type act struct {
	After string
	// Server is drain or kill: the server is stopped or killed, and another one is started at its address.
	Server string
	// KooDrive is a script to apply then.
	KooDrive json.RawMessage
}

// token is the token of a call without its own.
const token = "conformance-token"

// load reads the scenarios, and fails unless each reason of the contract is in one.
func load(file string) ([]scenario, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var raw []any
	if err := yaml.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var all []scenario
	names := map[string]bool{}
	for i, one := range raw {
		s, err := read(one)
		if err == nil && names[s.Name] {
			err = fmt.Errorf("there are two")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: scenario %d, %q: %w", file, i+1, s.Name, err)
		}
		names[s.Name] = true
		all = append(all, s)
	}
	return all, haveAllReasons(all)
}

func read(raw any) (scenario, error) {
	var s scenario
	text, err := json.Marshal(raw)
	if err != nil {
		return s, err
	}
	if err := strictly(text, &s); err != nil {
		return s, err
	}
	if s.Text != nil {
		long, err := json.Marshal(strings.Repeat(s.Text.Text, s.Text.Times))
		if err != nil {
			return s, err
		}
		s = scenario{}
		if err := strictly(bytes.ReplaceAll(text, []byte("$TEXT"), long[1:len(long)-1]), &s); err != nil {
			return s, err
		}
	}
	if s.Call.Token == "" && !s.Anonymous {
		s.Call.Token = token
	}
	if len(s.Expect) == 0 {
		return s, fmt.Errorf("it expects nothing")
	}
	for _, e := range s.Expect {
		if err := e.check(); err != nil {
			return s, err
		}
	}
	s.complete()
	return s, nil
}

// complete fills in the common parts of the stub's errors.
func (s scenario) complete() {
	for _, e := range s.Expect {
		f := e.Failure
		if e.Resume != nil {
			f = &e.Resume.Cause
		}
		if s.Stub != nil && f != nil && f.Reason != "" && !f.OfClient {
			f.message, f.requestID = stubMessage, stubRequestID
		}
	}
}

// secrets are the texts that the client must not print.
func (s scenario) secrets() []string { return append([]string{s.Call.Token}, s.Call.CallerTokens...) }

// strictly refuses unknown keys, and text after the value.
func strictly(text []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows")
	}
	return nil
}

// haveAllReasons fails unless the clients see every reason of the contract.
func haveAllReasons(all []scenario) error {
	var missing []string
	for n, name := range taskv1.ErrorReason_name {
		seen := slices.ContainsFunc(all, func(s scenario) bool {
			return slices.ContainsFunc(s.Expect, func(e expected) bool {
				return e.Failure != nil && e.Failure.Reason == name || e.Resume != nil && e.Resume.Cause.Reason == name
			})
		})
		if n != 0 && !seen {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("no scenario expects %s: add one", strings.Join(missing, ", "))
	}
	return nil
}
