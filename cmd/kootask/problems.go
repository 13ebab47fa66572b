package main

import "fmt"

// problems collects all problems with the flags.
type problems struct {
	errs usageError
	file *configFlag // It may have set flags. Nil: there is no such file.
}

func (p *problems) add(flag string, err error) {
	if err == nil {
		return
	}
	name := "--" + flag
	if p.file != nil {
		name = p.file.name(flag)
	}
	p.errs = append(p.errs, fmt.Errorf("%s: %w", name, err))
}

// err returns the problems as one error; nil without one.
func (p *problems) err() error {
	if p.errs == nil {
		return nil
	}
	return p.errs
}
