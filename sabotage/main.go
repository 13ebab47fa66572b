// Command sabotage shows that the tests can fail. It breaks each promise of docs/promises.md by the small changes to
// the code in the promise's file. It fails unless the test that each change names goes red.
//
//	go run ./sabotage                 # Try all.
//	go run ./sabotage -run 'circuit'  # Try those whose promise, name or test matches.
//	go run ./sabotage -check          # Check in seconds that all apply and compile. Runs no test.
//
// It does not modify the checkout: go reads the changed file in place of the original, so other tests can run at the
// same time. It does not search for changes that no test notices.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"time"
)

// atOnce is the number of sabotages that are tried at a time. Each compiles and links: more would need more memory, and
// would not be faster on a small machine.
const atOnce = 2

func main() {
	pattern := flag.String("run", "", "try only the sabotages whose promise, name or test matches this regular expression")
	onlyCheck := flag.Bool("check", false, "check that all sabotages apply and compile, and run no test")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *onlyCheck {
		if problems := check(ctx, promises); len(problems) > 0 {
			err = fmt.Errorf("%w\nsabotage: edit the rows that these lines name", errors.Join(problems...))
		}
	} else {
		err = run(ctx, os.Stdout, *pattern)
	}
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run tries the sabotages that match pattern and prints a line for each. It fails if a sabotage is not noticed as it
// should be.
func run(ctx context.Context, out io.Writer, pattern string) error {
	matches, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	var chosen []sabotage
	for i, p := range promises {
		for _, s := range p.broken {
			s.promise = fmt.Sprintf("%d %s", i+1, p.name)
			if matches.MatchString(s.promise + "\n" + s.name + "\n" + s.red) {
				chosen = append(chosen, s)
			}
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no sabotage matches -run=%s", pattern)
	}
	dir, err := os.MkdirTemp("", "sabotage")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	start := time.Now()
	green := undisturbed(ctx, chosen)
	var mu sync.Mutex // Guards failed and out.
	failed := 0
	each(chosen, func(s sabotage) {
		began := time.Now()
		said, err := "", green[s.red]
		if err == nil {
			said, err = s.try(ctx, dir)
		}
		if ctx.Err() != nil { // An interrupted test shows nothing.
			return
		}
		mu.Lock()
		defer mu.Unlock()
		word := "red "
		if err != nil {
			failed++
			word, said = "FAIL", fmt.Sprintf("%v. Edit %s", err, s.place())
		}
		_, _ = fmt.Fprintf(out, "%s %-14s %-56s %4.1f s  %s: %.400s\n",
			word, s.promise, s.name, time.Since(began).Seconds(), s.red, said)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, _ = fmt.Fprintf(out, "%d sabotages, %d failed, %.0f s\n", len(chosen), failed, time.Since(start).Seconds())
	if failed > 0 {
		return fmt.Errorf("%d sabotages do not turn their tests red: strengthen the test, or edit the sabotage", failed)
	}
	return nil
}

// each calls do for each item, atOnce at a time.
func each[T any](items []T, do func(T)) {
	var all sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, item := range items {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			do(item)
		})
	}
	all.Wait()
}
