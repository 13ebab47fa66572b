package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/ascii"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/internal/version"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/upstream"
)

// tokenVariable contains the token itself. It is not a flag, because every user of the machine could read that.
const tokenVariable = "KOOTASK_TOKEN"

// clientFlags are the flags of the commands that call a server.
type clientFlags struct {
	contextFlags
	Addr string `default:"127.0.0.1:9090" help:"kootask's gRPC address. In plaintext it must be a loopback address."`
	securityFlags
	TokenFile string `placeholder:"FILE" help:"File with the KooDrive token. Without it the token is $KOOTASK_TOKEN."`
	UserID    string `placeholder:"ID" help:"KooDrive user to act for, where kootask signs with an app's secret."`
	Output    string `short:"o" enum:"auto,json" default:"auto" help:"Form of the output: auto (for people, live on a terminal) or json (one object per line)."`
}

// byImportance orders the codes. With several tasks, the first code that applies to one of them is the exit code.
var byImportance = []int{exitInterrupted, exitError, exitRefused, exitNotFound, exitFailed, exitOK}

// exitCode is an error that ends the process with a code. Its text was already printed.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// connect returns a client, or all problems with the flags and the ids. It does not contact the server.
func (f clientFlags) connect(ids ...string) (*connection, error) {
	p := &problems{}
	host, port, err := net.SplitHostPort(f.Addr)
	if err != nil || !hostForm.MatchString(host) || !portForm.MatchString(port) {
		p.add("addr", errors.New("must be HOST:PORT"))
		host = "" // One problem is enough.
	}
	security := f.security(p, host)
	callerToken := f.callerToken(p)
	token, err := readToken(f.TokenFile)
	p.add("token-file", err)
	if err == nil && token != "" {
		if _, err := upstream.Forward(secret.New(token), "0", "20060102T150405Z"); err != nil {
			p.add("token-file", errTokenForm)
		}
	}
	checkUser(p, f.UserID)
	for _, id := range ids {
		if err := upstream.CheckTaskID(id); err != nil {
			p.errs = append(p.errs, fmt.Errorf("task %q: %w", id, err))
		}
	}
	if err := p.err(); err != nil {
		return nil, f.named(err)
	}
	client, err := kootask.New(kootask.Config{
		Addr: f.Addr, TLS: security, Token: token, UserID: f.UserID, CallerToken: callerToken,
		UserAgent: "kootask/" + version.String(),
		// With an option, the client leaves the probe to connection.
		DialOptions: []grpc.DialOption{grpc.EmptyDialOption{}},
	})
	if err != nil {
		return nil, f.named(usageError{err})
	}
	return &connection{Client: client, words: f.words(), addr: f.Addr, security: security, context: f.contextFlags}, nil
}

// connectFor returns a client and the distinct ids in arguments, of which "-" stands for those in the input.
func (f clientFlags) connectFor(in input, arguments []string) (*connection, []string, error) {
	ids, err := in.ids(arguments)
	if err != nil {
		return nil, nil, err
	}
	client, err := f.connect(ids...)
	return client, ids, err
}

var errTokenForm = errors.New("the file, or $" + tokenVariable + ", does not contain a token in a format that KooDrive accepts")

var (
	hostForm = regexp.MustCompile(`^[A-Za-z0-9._:%-]*$`)
	portForm = regexp.MustCompile(`^(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})$`)
)

// readToken returns the token in a file or, without one, in the environment.
func readToken(file string) (string, error) {
	if file == "" {
		return os.Getenv(tokenVariable), nil
	}
	return readLine(file)
}

// checkUser reports an invalid user's id.
func checkUser(p *problems, id string) {
	if len(id) > caller.MaxUserID || !ascii.Visible(id) {
		p.add("user-id", errors.New("must be at most 64 visible ASCII characters"))
	}
}

// codeOf returns the exit code for the end of a call. A task with an unknown final status is not a success.
func codeOf(task *taskv1.Task, err error) int {
	var failure *kootask.Error
	switch {
	case err == nil && task.GetStatus() == taskv1.TaskStatus_TASK_STATUS_FAILED:
		return exitFailed
	case err == nil && task.GetDone() && task.GetStatus() != taskv1.TaskStatus_TASK_STATUS_SUCCESS:
		return exitError
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case !errors.As(err, &failure):
		return exitError
	}
	switch failure.Code {
	case codes.NotFound:
		return exitNotFound
	case codes.Unauthenticated, codes.PermissionDenied:
		return exitRefused
	default:
		return exitError
	}
}

// worst returns the exit code of several calls.
func worst(all []int) error {
	for _, code := range byImportance {
		if code != exitOK && slices.Contains(all, code) {
			return exitCode(code)
		}
	}
	return nil
}
