package main

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/kootask/kootask/cmd/kootask/logging"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
)

// liveSettings changes what can change while serve runs, when its configuration file has changed. It is not safe for
// concurrent use.
type liveSettings struct {
	args  []string
	now   map[string]any // Values in force, by the name of the flag.
	level *slog.LevelVar
	files *reload.Files // Those in use.
	log   *logging.Log
}

// newLiveSettings returns the settings of a parsed command line.
func newLiveSettings(k *kong.Context, level *slog.LevelVar, files *reload.Files, log *logging.Log) *liveSettings {
	return &liveSettings{args: k.Args, now: flagValues(k), level: level, files: files, log: log}
}

// flagValues returns the values of the flags of a parsed command line, by name.
func flagValues(k *kong.Context) map[string]any {
	values := map[string]any{}
	for _, flag := range k.Selected().Flags {
		values[flag.Name] = flag.Target.Interface()
	}
	return values
}

// follow rereads the configuration file at each signal, until ctx ends. Then it passes the signal on.
func (s *liveSettings) follow(ctx context.Context, hangup hangups, next chan<- os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case signal := <-hangup:
			if s.now["config"] != "" {
				if s.files.Rereading != nil {
					s.files.Rereading(true) // The configuration may be on a slow disk.
				}
				s.reread(ctx)
			}
			select {
			case next <- signal:
			default: // A signal is already pending.
			}
		}
	}
}

// reread reads the configuration file as at the start. A file with any problem changes nothing.
//  1. Names of files take effect, unless another key needs a restart: a new secret may belong to a new app.
//  2. The log names the keys that have changed. The old and the new level both let the line pass.
//  3. The log level takes effect.
func (s *liveSettings) reread(ctx context.Context) {
	again := &commands{}
	files := &reload.Files{Log: slog.New(slog.DiscardHandler)}
	k, err := s.parse(again, files)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "configuration is invalid, keeping the previous one",
			slog.Any("problems", strings.Split(err.Error(), "\n")))
		return
	}
	applied, restart, renamed := []string{}, []string{}, []string{}
	values := flagValues(k)
	for _, flag := range k.Selected().Flags {
		before, after := s.now[flag.Name], values[flag.Name]
		switch {
		case reflect.DeepEqual(before, after):
		case flag.Name == "log-level":
			applied = append(applied, flag.Name)
		case isFile(flag) && before != "" && after != "" && !slices.Contains(s.files.Fixed, flag.Name):
			renamed = append(renamed, flag.Name)
		default:
			restart = append(restart, flag.Name)
		}
	}
	if len(restart) == 0 {
		s.files.Move(files)
		applied = append(applied, renamed...)
	} else {
		restart = append(restart, renamed...)
	}
	for _, name := range applied {
		s.now[name] = values[name]
	}

	attrs := []slog.Attr{slog.Any("changed", applied)}
	if len(restart) > 0 {
		attrs = append(attrs, slog.Any("need_a_restart", restart))
	}
	s.level.Set(min(s.level.Level(), again.Serve.LogLevel))
	s.log.LogAttrs(ctx, slog.LevelInfo, "configuration reread", attrs...)
	s.level.Set(again.Serve.LogLevel)
}

// parse parses the command line again, with the file as it is now, and checks the values like serve --check.
func (s *liveSettings) parse(to *commands, files *reload.Files) (*kong.Context, error) {
	parser, err := newParser(to)
	if err != nil {
		return nil, err
	}
	k, err := parser.Parse(s.args)
	if err != nil {
		return nil, err
	}
	p := &problems{}
	to.Serve.config(p, files, s.log)
	to.Serve.checkPorts(p)
	return k, p.err()
}
