package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// build builds kootask, with additional flags of go build, and returns program.
func build(ctx context.Context, program string, flags ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", program}, flags...), "./cmd/kootask")...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building kootask: %w\n%s", err, output)
	}
	return program, nil
}

// process is a running kootask.
type process struct{ *exec.Cmd }

// launch starts kootask and waits until it prints a line that matches pattern. It returns the first group of the match.
func launch(ctx context.Context, program, pattern string, args ...string) (p *process, said string, err error) {
	p = &process{exec.CommandContext(ctx, program, args...)}
	p.Env = []string{}
	output, err := p.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	p.Stderr = p.Stdout // Both use one pipe.
	if err := p.Start(); err != nil {
		return nil, "", err
	}
	matches := regexp.MustCompile(pattern)
	var all strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if m := matches.FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, output) }() // Until the process ends.
			return p, m[1], nil
		}
		all.WriteString(lines.Text() + "\n")
	}
	p.end(os.Kill)
	return nil, "", fmt.Errorf("kootask %s ended:\n%s", args[0], &all)
}

// end sends the process a signal and waits for its end.
func (p *process) end(signal os.Signal) {
	_ = p.Process.Signal(signal)
	_ = p.Wait()
}

// until polls holds until it reports true or fails, or ctx ends.
func until(ctx context.Context, holds func() (bool, error)) error {
	for {
		if done, err := holds(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(errTooLong, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// servers are kootask simulate and kootask serve in front of it.
type servers struct {
	program  string
	koodrive *process
	url      string // URL of KooDrive.
	serve    *process
	args     []string // Flags of serve.
	port     string   // Name of the port that the client calls, in serve's log.
	relay    *relay   // Leads to serve.
	leave    func()   // Ends the watches of other clients.
}

func newServers(ctx context.Context, program string, s scenario) (w *servers, err error) {
	w = &servers{program: program, port: "grpc", leave: func() {}}
	if s.HTTP {
		w.port = "http"
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.koodrive, w.url, err = launch(ctx, program, `(http://127\.0\.0\.1:\d+)`, "simulate", "--addr=127.0.0.1:0"); err != nil {
		return w, err
	}
	if err := w.control(ctx, http.MethodPut, "script", []byte(`{"tokens": [{"token": "`+token+`"}]}`), nil); err != nil {
		return w, err
	}
	if err := w.control(ctx, http.MethodPut, "script", s.KooDrive, nil); err != nil {
		return w, err
	}
	w.args = append([]string{
		"serve", "--upstream-allow-http", "--upstream-url=" + w.url,
		"--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=",
		"--poll-min=100ms", "--poll-max=400ms", "--poll-backoff-max=400ms", "--shutdown-delay=0s", "--log-format=json",
	}, s.Serve...)
	if w.relay, err = newRelay(ctx); err != nil {
		return w, err
	}
	if err := w.up(ctx); err != nil {
		return w, err
	}
	return w, w.watch(ctx, s.Others)
}

// up starts serve.
func (w *servers) up(ctx context.Context) error {
	serve, addr, err := launch(ctx, w.program, `"`+w.port+`":"([^"]+)"`, w.args...)
	if err == nil {
		w.serve = serve
		w.relay.lead(addr)
	}
	return err
}

// down ends serve with a signal.
func (w *servers) down(signal os.Signal) {
	w.relay.lead("")
	w.serve.end(signal)
}

// watch starts watches of other clients.
func (w *servers) watch(ctx context.Context, tasks []string) error {
	conn, err := grpc.NewClient(w.addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	w.leave = func() { _ = conn.Close() }
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", token)
	for _, id := range tasks {
		stream, err := taskv1.NewTaskServiceClient(conn).WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: id})
		if err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
	return nil
}

// control sends a request to a control route of simulate. It sends no PUT without a body.
func (w *servers) control(ctx context.Context, method, what string, body []byte, answer any) error {
	if method == http.MethodPut && body == nil {
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, method, w.url+"/simulate/"+what, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("simulate answers %s to %s %s", resp.Status, method, what)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

func (w *servers) addr() string { return w.relay.listener.Addr().String() }

func (*servers) caFile() string { return "" }

func (w *servers) change(ctx context.Context, a act) error {
	switch a.Server {
	case "":
	case "drain":
		w.down(syscall.SIGTERM)
	case "kill":
		w.down(os.Kill)
	default:
		return fmt.Errorf("a server cannot %q: it must be drain or kill", a.Server)
	}
	if err := w.control(ctx, http.MethodPut, "script", a.KooDrive, nil); err != nil {
		return err
	}
	if a.Server == "" {
		return nil
	}
	return w.up(ctx)
}

// quiet is the time without requests after which polls are taken to have ended. It is longer than the longest interval
// between polls.
const quiet = 2 * time.Second

// settle waits, if the scenario is Quiet, until KooDrive has got no requests for that time.
func (w *servers) settle(ctx context.Context, s scenario) error {
	if !s.Quiet {
		return nil
	}
	asked, since := -1, time.Now()
	ctx, cancel := context.WithTimeout(ctx, 10*quiet)
	defer cancel()
	err := until(ctx, func() (bool, error) {
		var log []json.RawMessage
		if err := w.control(ctx, http.MethodGet, "requests", nil, &log); err != nil {
			return false, err
		}
		if len(log) != asked {
			asked, since = len(log), time.Now()
		}
		return time.Since(since) > quiet, nil
	})
	if err != nil {
		return fmt.Errorf("KooDrive got %d requests, and gets more: %w", asked, err)
	}
	return nil
}

func (w *servers) close() {
	w.leave()
	for _, p := range []*process{w.serve, w.koodrive} {
		if p != nil {
			p.end(os.Kill)
		}
	}
	if w.relay != nil {
		w.relay.close()
	}
}
