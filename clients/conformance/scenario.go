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

// scenario is a scenario of scenarios.yaml: the environment, the command of the client and the expected results.
type scenario struct {
	// Name identifies the scenario. Scenarios of errors are named after the reason.
	Name string
	// Text replaces $TEXT in the other fields, repeated Times times.
	Text *struct {
		Text  string
		Times int
	}

	// KooDrive is the script of kootask simulate, which also accepts the call's token. Serve are flags of kootask
	// serve, in addition to short poll intervals. Others are tasks that other clients already watch with the same
	// token.
	KooDrive json.RawMessage
	Serve    []string
	Others   []string
	// Stub replaces both with a stub. It has the steps for each call; the last ones are repeated.
	Stub [][]step
	// Nobody means that no server listens at the address.
	Nobody bool
	// HTTP means that the address is that of kootask's HTTP port.
	HTTP bool
	// TLS means that the stub speaks TLS, with a certificate of an authority of the suite. Trust means that the client uses
	// TLS and trusts this authority.
	TLS, Trust bool

	// Call is the client's command. The address and, with Trust, the authority are added, and a token unless it has one or
	// the call is Anonymous.
	Call      command
	Anonymous bool
	// Meanwhile are changes to the environment while the client runs.
	Meanwhile []act
	// Until is a kind of line: the client is killed after the first such line.
	Until string

	// Expect are the lines that the client must print. Received are the calls that the stub must get. Quiet:
	// after the client's last line, KooDrive must get no requests, and the calls of the stub must end.
	Expect   []expected
	Received []received
	Quiet    bool
	// AnyOrder means that the order of different tasks is not defined, as in a list with several streams or of a real server.
	// The lines of each task are compared in order, and all other lines and the calls without an order.
	AnyOrder bool
}

// act is a change to the environment after the client's lines of a kind, counted since the previous act.
type act struct {
	After string
	// Times is the number of these lines. 0: one.
	Times int
	// Server is drain or kill: the server is stopped or killed, and another one is started at its address.
	Server string
	// KooDrive is a script to apply.
	KooDrive json.RawMessage
}

// token is the token of calls that do not set one.
const token = "conformance-token"

// load reads the scenarios. It fails unless they cover every reason of the contract.
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
			err = fmt.Errorf("another scenario has this name")
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
		return s, fmt.Errorf("expect is empty")
	}
	if err := s.expand(); err != nil {
		return s, err
	}
	for _, e := range s.Expect {
		if err := e.check(); err != nil {
			return s, err
		}
	}
	s.complete()
	return s, nil
}

// expand replaces an expected line for each task of the call by these lines.
func (s *scenario) expand() error {
	var all []expected
	for _, e := range s.Expect {
		if e.Each == nil {
			all = append(all, e)
			continue
		}
		for _, id := range s.Call.TaskIDs {
			task, err := withID(e.Each, id)
			if err != nil {
				return err
			}
			all = append(all, expected{Task: task})
		}
	}
	s.Expect = all
	return nil
}

// complete fills in the common parts of the stub's errors.
func (s scenario) complete() {
	for _, e := range s.Expect {
		f := e.failure()
		if s.Stub != nil && f != nil && f.Reason != "" && !f.OfClient {
			f.message, f.requestID = stubMessage, stubRequestID
		}
	}
}

// secrets returns the texts that the client must not print.
func (s scenario) secrets() []string { return append([]string{s.Call.Token}, s.Call.CallerTokens...) }

// strictly parses a JSON value. It refuses unknown keys, and text after the value.
func strictly(text []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the value")
	}
	return nil
}

// haveAllReasons fails unless the scenarios expect every reason of the contract.
func haveAllReasons(all []scenario) error {
	var missing []string
	for n, name := range taskv1.ErrorReason_name {
		seen := slices.ContainsFunc(all, func(s scenario) bool {
			return slices.ContainsFunc(s.Expect, func(e expected) bool {
				f := e.failure()
				return f != nil && f.Reason == name
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
