package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// block is a piece of a document for a shell.
var block = regexp.MustCompile("(?s)```sh\n(.*?)```")

// followAll does what a new user does: it runs the commands of the clients' READMEs, and of docs/migrate.md, as they stand, each
// in an empty folder, while bin/kootask demo and simulate run at their usual ports. It prints how long that takes. What the
// package managers have kept from before they may use.
func followAll(ctx context.Context, out io.Writer, dir string, clients []client) error {
	documents := []string{"docs/migrate.md"}
	for _, c := range clients {
		documents = append(documents, filepath.Join(c.folder, "README.md"))
	}
	var failures []error
	for _, document := range documents {
		start := time.Now()
		err := follow(ctx, document, dir)
		word := "ok  "
		if err != nil {
			word = "FAIL"
			failures = append(failures, fmt.Errorf("%s: %w", document, err))
		}
		_, _ = fmt.Fprintf(out, "%s %-30s %4.0f s\n", word, document, time.Since(start).Seconds())
	}
	return errors.Join(failures...)
}

// follow runs the commands of a document. At last a task has to be seen finished.
func follow(ctx context.Context, document, dir string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp(dir, "user")
	if err != nil {
		return err
	}
	for command, says := range map[string]string{"demo": "(kootask is running)", "simulate": "(stand-in answers)"} {
		p, _, err := launch(ctx, "bin/kootask", says, command)
		if err != nil {
			return err
		}
		defer p.end(os.Kill)
	}
	said := ""
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		output, err := shell(ctx, folder, root, m[1])
		if err != nil {
			return fmt.Errorf("%w\n%s\n%s", err, m[1], output)
		}
		said = output
	}
	if !strings.Contains(said, "SUCCESS") {
		return fmt.Errorf("the last command has printed\n%s", said)
	}
	return nil
}

// shell runs commands like a user who has a checkout of kootask at root.
func shell(ctx context.Context, folder, root, commands string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "KOOTASK="+root)
	// What it has started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	return output.String(), err
}
