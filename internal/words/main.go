// Command words checks the language of the texts that users read: the documents, the clients' READMEs, the comments of
// the contract, the description of the API, the pages, the help of the Makefile, the promises, and the texts in the Go
// code (help, errors, metrics, log messages).
//
//	go run ./internal/words          # Lists each finding with file and line, and fails if there is one.
//	go run ./internal/words -counts  # Also counts the findings of each rule.
//
// The patterns are in rules.go. The command does not check comments in code, and it cannot judge whether a text is
// clear.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	counted := flag.Bool("counts", false, "also print the number of findings of each rule")
	flag.Parse()
	clean, err := run(os.Stdout, ".", *counted)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(2)
	}
	if !clean {
		os.Exit(1)
	}
}

// run prints the findings in the tree at root, and reports whether the tree is clean.
func run(out io.Writer, root string, counted bool) (bool, error) {
	texts, err := read(root)
	if err != nil {
		return false, err
	}
	found, counts := 0, map[string]int{}
	for _, t := range texts {
		for _, f := range check(t) {
			found++
			counts[f.rule]++
			_, _ = fmt.Fprintf(out, "%s:%d: %s: %q in %q. %s.\n", t.path, t.line, f.rule, f.match, f.sentence, f.fix)
		}
	}
	if counted {
		for _, name := range names() {
			_, _ = fmt.Fprintf(out, "%6d %s\n", counts[name], name)
		}
		_, _ = fmt.Fprintf(out, "%6d texts\n", len(texts))
	}
	return found == 0, nil
}
