package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/kootask/kootask/cmd/kootask/dialects"
	"github.com/kootask/kootask/cmd/kootask/doctor"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/upstream"
)

// doctorCommand asks a KooDrive how it speaks.
type doctorCommand struct {
	koodriveFlags
	appFlags
	TaskID      string `env:"KOOTASK_DOCTOR_TASK_ID" placeholder:"ID" help:"Id of a KooDrive task that the credential may see. Required."`
	TokenFile   string `placeholder:"FILE" help:"File with the KooDrive token. Without it the token is $KOOTASK_TOKEN."`
	UserID      string `placeholder:"ID" help:"KooDrive user, sent as X-User-Id. Required with --upstream-auth=app."`
	AskRefusals bool   `env:"KOOTASK_DOCTOR_ASK_REFUSALS" help:"Ask one more question, with a fixed fake token. KooDrive's operators will see failed sign-ins."`
	Output      string `short:"o" enum:"auto,json" default:"auto" help:"Form of the report: auto (for people) or json (one object)."`
	Write       string `env:"KOOTASK_DOCTOR_WRITE" placeholder:"FILE" help:"New file for the dialect that was found, for --upstream-dialect. An existing file is not overwritten."`
}

// Help is shown below the command's help.
func (doctorCommand) Help() string {
	return "It sends at most 12 requests to KooDrive, at most one a second, and only reads.\n\n" +
		"Exit codes: 0 KooDrive is as the dialect in force says; 6 something differs; " +
		"5 the credential is refused in every form; 1 KooDrive cannot be reached; 2 usage; 130 interrupted."
}

// Run examines KooDrive.
func (c *doctorCommand) Run(ctx context.Context, out output) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	return c.examine(ctx, out, config)
}

// config returns the config of the examination, or all problems with the flags.
func (c *doctorCommand) config() (doctor.Config, error) {
	p, files := &problems{}, &reload.Files{Log: slog.New(slog.DiscardHandler)}
	config := doctor.Config{TaskID: c.TaskID, UserID: c.UserID, AskRefusals: c.AskRefusals}
	config.Upstream = c.koodriveFlags.config(p, files)
	d := readDialect(p, "upstream-dialect", c.UpstreamDialect)
	p.add("task-id", upstream.CheckTaskID(c.TaskID))
	checkUser(p, c.UserID)
	switch config.App = c.app(p, files); {
	case c.UpstreamAuth != "app":
		config.Token = c.token(p)
		if c.UserID == "" && d != nil && d.Token.UserIDRequired {
			p.add("user-id", errors.New("required by --upstream-dialect"))
		}
	case c.UserID == "":
		p.add("user-id", errors.New("required with --upstream-auth=app"))
	case c.TokenFile != "":
		p.add("token-file", errors.New("cannot be combined with --upstream-auth=app"))
	}
	if c.Write != "" {
		if _, err := os.Lstat(c.Write); !errors.Is(err, os.ErrNotExist) {
			p.add("write", fmt.Errorf("%s exists already, or its folder cannot be read. Name a new file", c.Write))
		}
	}
	if err := p.err(); err != nil {
		return doctor.Config{}, err
	}
	config.Dialect = *d
	return config, nil
}

// token returns the token to ask with. A signature is not one, since it covers a single request.
func (c *doctorCommand) token(p *problems) secret.Value {
	text, err := readToken(c.TokenFile)
	switch {
	case err != nil:
		p.add("token-file", err)
	case text == "":
		p.add("token-file", errors.New("required. The token may also be in $"+tokenVariable))
	default:
		if _, err := upstream.Forward(secret.New(text), "", ""); err != nil {
			p.add("token-file", errTokenForm)
		}
	}
	return secret.New(text)
}

// examine asks KooDrive, prints the report and writes the dialect.
func (c *doctorCommand) examine(ctx context.Context, out output, config doctor.Config) error {
	report, err := doctor.Run(ctx, config)
	if report == nil {
		return err
	}
	if c.Output == "json" {
		text, err := report.JSON()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out.stdout, "%s\n", text)
	} else {
		report.Print(out.stdout)
	}
	if err != nil {
		return exitCode(exitInterrupted)
	}
	if c.Write != "" {
		if err := c.write(out.stderr, report); err != nil {
			return err
		}
	}
	if code := map[doctor.Result]int{
		doctor.AsExpected: exitOK, doctor.Differing: exitDiffers, doctor.Refused: exitRefused, doctor.Unreachable: exitError,
	}[report.Result]; code != exitOK {
		return exitCode(code)
	}
	return nil
}

// write writes the dialect that was found to a new file.
func (c *doctorCommand) write(stderr io.Writer, report *doctor.Report) error {
	if !report.Knows() {
		_, _ = fmt.Fprintf(stderr, "kootask: %s is not written: KooDrive cannot be reached or refuses the credential.\n", c.Write)
		return nil
	}
	documented, err := dialects.Parse(nil)
	if err != nil {
		return err
	}
	overlay := report.Overlay(documented)
	if _, err := dialects.Parse(overlay); err != nil {
		return fmt.Errorf("checking the dialect for %s: %w", c.Write, err)
	}
	file, err := os.OpenFile(c.Write, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(overlay)
	return errors.Join(err, file.Close())
}

// reachKooDrive prints each step of a connection to KooDrive.
func reachKooDrive(ctx context.Context, out output, config upstream.Config) error {
	client, err := upstream.NewClient(config)
	if err != nil {
		return err
	}
	defer client.Close()
	reach := client.Reach(ctx)
	doctor.PrintSteps(out.stdout, doctor.Steps(reach, config))
	if reach.Failed != "" {
		return fmt.Errorf("KooDrive cannot be reached: the step %s failed", reach.Failed)
	}
	return nil
}
