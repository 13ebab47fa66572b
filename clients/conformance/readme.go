package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// block matches a block of shell commands in a document.
var block = regexp.MustCompile("(?s)```sh\n(.*?)```")

// document is a text with shell commands, some of which watch a task.
type document struct {
	path    string
	watches int // Number of blocks that must watch a task until it is finished.
	shift   int // Added to the usual ports.
}

// usual matches the addresses in the documents.
var usual = regexp.MustCompile(`127\.0\.0\.1:(9090|9091|8080|18080)\b`)

// shifted replaces the usual ports in a text by the document's own.
func (d document) shifted(text string) string {
	return usual.ReplaceAllStringFunc(text, func(address string) string {
		host, port, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(port) // usual only matches numbers.
		return net.JoinHostPort(host, strconv.Itoa(n+d.shift))
	})
}

// followAll runs the commands of the clients' READMEs, and of some pages of docs as a new user would, each in an empty
// folder, while bin/kootask demo and simulate run. Only the ports are changed: each document has its own, so that they
// can run at the same time. It prints the time of each. Package managers may use their caches.
func followAll(ctx context.Context, out io.Writer, dir string, clients []client) error {
	documents := []document{
		{path: "docs/migrate.md", watches: 5}, {path: "docs/wait.md", watches: 4}, {path: "docs/watching.md", watches: 1},
	}
	for _, c := range clients { // Each watches one task, and then many.
		documents = append(documents, document{path: filepath.Join(c.folder, "README.md"), watches: 2})
	}
	for i := range documents {
		documents[i].shift = 100 * (i + 1)
	}
	var all sync.WaitGroup
	var mu sync.Mutex // Guards failures and out.
	var failures []error
	for _, d := range documents {
		all.Go(func() {
			start := time.Now()
			err := d.follow(ctx, dir)
			mu.Lock()
			defer mu.Unlock()
			word := "ok  "
			if err != nil {
				word = "FAIL"
				failures = append(failures, fmt.Errorf("%s: %w", d.path, err))
			}
			_, _ = fmt.Fprintf(out, "%s %-30s %4.0f s\n", word, d.path, time.Since(start).Seconds())
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

// finished matches the output of a command that has watched a task to its end.
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
	for says, command := range map[string]string{
		"(kootask is running)": "demo --grpc-addr=127.0.0.1:9090 --http-addr=127.0.0.1:8080 --admin-addr=127.0.0.1:9091",
		"(stand-in answers)":   "simulate --addr=127.0.0.1:18080",
	} {
		p, _, err := launch(ctx, "bin/kootask", says, strings.Fields(d.shifted(command))...)
		if err != nil {
			return err
		}
		defer p.end(os.Kill)
	}
	var all strings.Builder
	watches := 0
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		output, err := shell(ctx, folder, d.shifted(m[1]), "KOOTASK="+root, d.shifted("KOOTASK_ADDR=127.0.0.1:9090"))
		if err != nil {
			return fmt.Errorf("%w\n%s\n%s", err, m[1], output)
		}
		all.WriteString(output)
		if finished.MatchString(output) {
			watches++
		}
	}
	if watches != d.watches {
		return fmt.Errorf("%d of %d commands have watched a task to its end:\n%s", watches, d.watches, &all)
	}
	return nil
}

// shell runs commands in a folder, with additional environment variables. It fails after 15 min.
func shell(ctx context.Context, folder, commands string, variables ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), variables...)
	// At the time limit, all processes of the group are killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	return output.String(), err
}
