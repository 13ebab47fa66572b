package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// client is the conformance program of a language.
type client struct {
	language string
	folder   string
	program  []string
}

// languages are the languages that take part. make clients builds their programs.
var languages = []client{
	{"go", "clients/go", []string{"../../bin/conformance-go"}},
	{"python", "clients/python", []string{".venv/bin/python", "conformance.py"}},
	{"typescript", "clients/typescript", []string{"node", "dist/conformance.js"}},
	{"java", "clients/java", []string{
		"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", // The process is short-lived.
		"-cp", "target/test-classes:target/classes:target/lib/*:target/test-lib/*", "io.github.kootask.conformance.Conformance",
	}},
	{"rust", "clients/rust", []string{"target/debug/examples/conformance"}},
}

// session is a running program of a client.
type session struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// start starts the program, which runs until ctx ends at the latest.
func (c client) start(ctx context.Context) (*session, error) {
	s := &session{cmd: exec.CommandContext(ctx, c.program[0], c.program[1:]...)}
	s.cmd.Dir, s.cmd.Stderr = c.folder, &s.stderr
	s.cmd.Env = append(os.Environ(), "no_proxy=127.0.0.1") // Some gRPC libraries use the environment's proxy.
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.stdout = bufio.NewReader(stdout)
	return s, s.cmd.Start()
}

// send sends the program its command.
func (s *session) send(do command) error {
	text, err := json.Marshal(do)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdin, "%s\n", text)
	return err
}

// next returns the next line that the program prints.
func (s *session) next() (line, error) {
	text, err := s.stdout.ReadBytes('\n')
	if err != nil {
		return line{}, fmt.Errorf("the program ended without a last line: %w", err)
	}
	var l line
	var keys map[string]any
	if err := errors.Join(strictly(text, &l), json.Unmarshal(text, &keys)); err != nil {
		return line{}, fmt.Errorf("%.1000s: %w", text, err)
	}
	if l.kind() == "" || len(keys) != 1 {
		return line{}, fmt.Errorf("%.1000s: not a line of the protocol", text)
	}
	return l, nil
}

// leave lets the program end. It fails if the program prints more or its exit code is not 0.
func (s *session) leave() error {
	_ = s.stdin.Close()
	more, err := io.ReadAll(s.stdout)
	if len(more) > 0 {
		err = errors.Join(err, fmt.Errorf("output after the last line: %.1000s", more))
	}
	return errors.Join(err, s.cmd.Wait())
}

// kill kills the program and waits for its end.
func (s *session) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}
