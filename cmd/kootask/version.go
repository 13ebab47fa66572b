package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/kootask/kootask/internal/version"
)

// versionCommand prints the version.
type versionCommand struct{}

// Run prints the version. The flag --version does the same.
func (versionCommand) Run(out output) error {
	_, err := fmt.Fprintln(out.stdout, versionLine())
	return err
}

// versionLine returns the version, the commit if the build has recorded it, the version of Go and the platform.
func versionLine() string {
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				commit = " " + setting.Value
			}
		}
	}
	return fmt.Sprintf("kootask %s%s %s %s/%s", version.String(), commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
