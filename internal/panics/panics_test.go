package panics_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kootask/kootask/internal/panics"
)

func run(f func() error) (err error) {
	defer panics.Recover(&err, "while testing")
	return f()
}

func TestRecover(t *testing.T) {
	err := run(func() error { panic(errors.New("secret")) })
	if err == nil || !strings.HasPrefix(err.Error(), "panic of type *errors.errorString while testing\n") {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), "panics_test.go") || strings.Contains(err.Error(), "secret") {
		t.Errorf("want the stack without the value, got %v", err)
	}
	if err := run(func() error { panic(nil) }); err == nil {
		t.Error("panic(nil) is not an error")
	}
	own := errors.New("own")
	if err := run(func() error { return own }); !errors.Is(err, own) {
		t.Errorf("without a panic: %v", err)
	}
}

func TestCatch(t *testing.T) {
	if err := panics.Catch(func() { panic(errors.New("secret")) }, "while testing"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	if err := panics.Catch(func() {}, "while testing"); err != nil {
		t.Errorf("without a panic: %v", err)
	}
}
