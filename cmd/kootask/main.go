// Command kootask reports the status of KooDrive tasks, over gRPC, REST, JSON lines and server-sent events.
//
// It contains the service, a demonstration that needs nothing else, a stand-in for KooDrive, and a client that shows or
// watches tasks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/kootask/kootask/cmd/kootask/server"
)

// commands are the subcommands of kootask.
type commands struct {
	Serve    serveCommand    `cmd:"" help:"Run the service."`
	Config   configCommand   `cmd:"" help:"Print the configuration of serve that is in force, and where each value comes from."`
	Demo     demoCommand     `cmd:"" help:"Run the service on this machine with a stand-in for KooDrive, and print commands to try."`
	Simulate simulateCommand `cmd:"" help:"Run only KooDrive's stand-in, for tests."`
	Get      getCommand      `cmd:"" help:"Show a task as it is now."`
	Watch    watchCommand    `cmd:"" help:"Show tasks as they change until they are finished."`
	Wait     waitCommand     `cmd:"" help:"Wait until tasks are finished. The exit code says how."`
	Explain  explainCommand  `cmd:"" help:"Explain an error: its meaning, cause and remedy, in English and Chinese."`
	Doctor   doctorCommand   `cmd:"" help:"Ask a KooDrive how it speaks, and compare the answers with the dialect in force."`
	Version  versionCommand  `cmd:"" help:"Print the version."`

	Completion completionCommand `cmd:"" help:"Print a script that completes commands, flags and values in a shell."`
	Man        manCommand        `cmd:"" hidden:"" help:"Print the manual page, kootask(1)."`
	Help       helpCommand       `cmd:"" help:"Explain kootask or one of its commands."`

	ShowVersion kong.VersionFlag `name:"version" env:"-" help:"Print the version."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// hangups gets a value at each SIGHUP. serve then rereads its files.
type hangups <-chan os.Signal

// run executes the command until it is done or a signal stops it. A second signal ends the process at once.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := untilSignal()
	defer stop()

	exit, out := -1, &checkedWriter{to: stdout}
	parser, err := newParser(&commands{},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.Vars{"version": versionLine()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
		kong.Bind(output{stdout: out, stderr: stderr}, input{os.Stdin}),
	)
	if err != nil {
		return report(stderr, err)
	}
	command, err := parser.Parse(args)
	switch {
	case exit >= 0: // The help or the version was requested and printed.
		return exit
	case err != nil:
		return reportUsage(stderr, parser, err)
	}
	hangup := make(chan os.Signal, 1)
	switch command.Command() {
	case "serve": // The service must survive the reader of its log.
		signal.Ignore(syscall.SIGPIPE)
		defer signal.Reset(syscall.SIGPIPE)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
	case "demo": // It stops gracefully when its terminal is closed, unless nohup keeps it running.
		if !signal.Ignored(syscall.SIGHUP) {
			terminal, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
			defer stop()
			context.AfterFunc(terminal, stop)
			ctx = terminal
		}
	}
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(hangups(hangup), parser)
	if out.err != nil {
		return report(stderr, fmt.Errorf("printing the result: %w", out.err))
	}
	return report(stderr, err)
}

// newParser returns a parser of the command line and the environment.
func newParser(to *commands, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(to, append(options,
		kong.Name("kootask"),
		kong.Description("KooDrive tasks, typed and pushed. Every flag may also be set in the environment, as its help says."),
		kong.DefaultEnvars("KOOTASK"),
	)...)
}

// untilSignal returns a context that ends at SIGINT or SIGTERM. Its cause is [server.ErrInterrupted] after SIGINT,
// which a person sends from a terminal. Afterwards signals have their default effect and end the process.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			if s == os.Interrupt {
				cancel(server.ErrInterrupted)
			}
			cancel(nil)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// input is the standard input.
type input struct{ io.Reader }

// ids returns the distinct ids in arguments, of which "-" stands for those in the input, separated by white space.
func (in input) ids(arguments []string) (ids []string, err error) {
	seen := map[string]bool{}
	for _, argument := range arguments {
		more := []string{argument}
		if argument == "-" {
			text, err := io.ReadAll(in)
			if err != nil {
				return nil, fmt.Errorf("reading ids: %w", err)
			}
			more = strings.Fields(string(text))
		}
		for _, id := range more {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return nil, usageError{errors.New("the standard input has no ids")}
	}
	return ids, nil
}

// output is the destination of a command's output.
type output struct {
	stdout *checkedWriter
	stderr io.Writer
}

// checkedWriter remembers a failed write: a command whose output was lost must not succeed.
type checkedWriter struct {
	to  io.Writer
	err error
}

func (w *checkedWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

// usageError holds all problems with the flags.
type usageError []error

func (e usageError) Error() string { return errors.Join(e...).Error() }

// report prints err, one line per problem, and returns the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		_, _ = fmt.Fprintln(stderr, "kootask:", line)
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitError
}
