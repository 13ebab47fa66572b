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

// document is a text with commands, some of which watch a task.
type document struct {
	path    string
	watches int // How many blocks do, and have to see it finished.
}

// followAll does what a new user does: it runs the commands of the clients' READMEs, and of docs/migrate.md, as they stand, each
// in an empty folder, while bin/kootask demo and simulate run at their usual ports. It prints how long that takes. What the
// package managers have kept from before they may use.
func followAll(ctx context.Context, out io.Writer, dir string, clients []client) error {
	documents := []document{{"docs/migrate.md", 5}}
	for _, c := range clients {
		documents = append(documents, document{filepath.Join(c.folder, "README.md"), 1})
	}
	var failures []error
	for _, d := range documents {
		start := time.Now()
		err := d.follow(ctx, dir)
		word := "ok  "
		if err != nil {
			word = "FAIL"
			failures = append(failures, fmt.Errorf("%s: %w", d.path, err))
		}
		_, _ = fmt.Fprintf(out, "%s %-30s %4.0f s\n", word, d.path, time.Since(start).Seconds())
	}
	return errors.Join(failures...)
}

// finished is what a command prints that has seen a task to its end.
var finished = regexp.MustCompile(`SUCCESS|status 2`)

// follow runs the commands of a document.
func (d document) follow(ctx context.Context, dir string) error {
	text, err := os.ReadFile(d.path)
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
	var all strings.Builder
	watches := 0
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		output, err := shell(ctx, folder, root, m[1])
		if err != nil {
			return fmt.Errorf("%w\n%s\n%s", err, m[1], output)
		}
		all.WriteString(output)
		if finished.MatchString(output) {
			watches++
		}
	}
	if watches != d.watches {
		return fmt.Errorf("%d of %d commands have seen a task finished:\n%s", watches, d.watches, &all)
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
	// If it takes too long, what it has started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	return output.String(), err
}
