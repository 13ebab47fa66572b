// Command conformance checks that the clients in all languages behave alike. It runs the scenarios of scenarios.yaml
// with each client and checks its output. The server is kootask serve in front of kootask simulate, or a stub of the
// service for events that KooDrive cannot cause.
//
//	go run ./clients/conformance                          # From the root, after make clients.
//	go run ./clients/conformance -language rust -run resume
//	go run ./clients/conformance -sabotage                # Shows that the suite can fail.
//	go run ./clients/conformance -readmes                 # The unchanged commands of the READMEs. After make build.
//	go run ./clients/conformance -plain                   # Clients without kootask's library: clients/plain.
//
// Each language has a program that reads one command, runs it with the client and prints the results. client.go lists
// the programs, and protocol.go defines their input and output. A program only knows the inputs of a scenario; the
// expected results are only known to compare.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	language := flag.String("language", "", "run the clients whose language matches this regular expression")
	pattern := flag.String("run", "", "run the scenarios whose name matches this regular expression")
	sabotage := flag.Bool("sabotage", false, "break the server on purpose, and fail unless the right scenarios do")
	readmes := flag.Bool("readmes", false, "run the commands of the clients' READMEs instead")
	plain := flag.Bool("plain", false, "run the checks of clients without kootask's library instead")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, choice{*language, *pattern}, mode{*sabotage, *readmes, *plain})
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// choice selects scenarios and languages by two regular expressions.
type choice struct{ language, scenario string }

// mode selects another action in place of the scenarios, at most one.
type mode struct{ sabotage, readmes, plain bool }

func run(ctx context.Context, out io.Writer, chosen choice, instead mode) error {
	clients, err := matching(languages, chosen.language, func(c client) string { return c.language })
	if err != nil {
		return err
	}
	scenarios, err := load("clients/conformance/scenarios.yaml")
	if err != nil {
		return err
	}
	if scenarios, err = matching(scenarios, chosen.scenario, func(s scenario) string { return s.Name }); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	switch {
	case instead.sabotage:
		return tryAll(ctx, out, dir, clients, scenarios)
	case instead.readmes:
		return followAll(ctx, out, dir, clients)
	case instead.plain:
		return plain(ctx, out, dir)
	}
	program, err := build(ctx, filepath.Join(dir, "kootask"))
	if err != nil {
		return err
	}
	start := time.Now()
	cells := runAll(ctx, program, clients, scenarios)
	table(out, clients, scenarios, cells)
	_, _ = fmt.Fprintf(out, "%d scenarios, %d languages, %.0f s\n", len(scenarios), len(clients), time.Since(start).Seconds())
	if n := len(failed(cells)); n > 0 {
		return fmt.Errorf("%d cells failed", n)
	}
	return ctx.Err()
}

func matching[T any](all []T, pattern string, name func(T) string) (chosen []T, err error) {
	matches, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if matches.MatchString(name(one)) {
			chosen = append(chosen, one)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("nothing matches %q", pattern)
	}
	return chosen, nil
}

// cell is a scenario in a language.
type cell struct{ scenario, language string }

// patience is the time limit of a cell. The longest one takes half a minute on an idle machine.
const patience = 3 * time.Minute

// runAll runs each scenario with each client, several at a time, because they mostly wait. It returns the errors by
// cell; nil for success.
func runAll(ctx context.Context, program string, clients []client, scenarios []scenario) map[cell]error {
	var all sync.WaitGroup
	var mu sync.Mutex // Guards results.
	results := map[cell]error{}
	room := make(chan struct{}, 4*runtime.GOMAXPROCS(0))
	for _, s := range scenarios {
		for _, c := range clients {
			room <- struct{}{}
			all.Go(func() {
				defer func() { <-room }()
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				err := play(ctx, program, c, s)
				mu.Lock()
				defer mu.Unlock()
				results[cell{s.Name, c.language}] = err
			})
		}
	}
	all.Wait()
	return results
}

// table prints the results, a row per scenario, and then the errors.
func table(out io.Writer, clients []client, scenarios []scenario, cells map[cell]error) {
	row := func(name string, entry func(language string) string) {
		_, _ = fmt.Fprintf(out, "| %-38s |", name)
		for _, c := range clients {
			_, _ = fmt.Fprintf(out, " %-10s |", entry(c.language))
		}
		_, _ = fmt.Fprintln(out)
	}
	row("scenario", func(language string) string { return language })
	row(strings.Repeat("-", 38), func(string) string { return strings.Repeat("-", 10) })
	for _, s := range scenarios {
		row(s.Name, func(language string) string {
			err, ran := cells[cell{s.Name, language}]
			switch {
			case !ran:
				return ""
			case err != nil:
				return "FAIL"
			}
			return "ok"
		})
	}
	for _, s := range scenarios {
		for _, c := range clients {
			if err := cells[cell{s.Name, c.language}]; err != nil {
				_, _ = fmt.Fprintf(out, "\n%s with %s: %v\n", s.Name, c.language, err)
			}
		}
	}
}

// failed returns the cells with an error.
func failed(cells map[cell]error) map[cell]bool {
	wrong := map[cell]bool{}
	for c, err := range cells {
		if err != nil {
			wrong[c] = true
		}
	}
	return wrong
}

var errTooLong = errors.New("it took too long")
