// Command packaging makes the packages of kootask from the programs that make dist has built: archives, deb and rpm
// packages, an image, lists of the components, and checksums. It does not build kootask.
//
//	bin/packaging linux/amd64 darwin/arm64
//
// It runs in the root of the tree. bin/dist has the programs, the manual page and the completion scripts; dist gets the
// packages. Equal input makes equal packages: every time in them is that of the commit.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// release has the facts that all packages of one commit share.
type release struct {
	version string
	commit  string
	time    time.Time // The commit's, in UTC.
}

// target is a platform, with the files that its packages share.
type target struct {
	release
	os, arch string // As in GOOS and GOARCH.
	parts    []part // Ordered by name.
}

// folder returns the folder of the files that belong to the platform.
func (t target) folder() string { return filepath.Join("bin/dist", t.os, t.arch) }

// program returns the file with kootask.
func (t target) program() string { return filepath.Join(t.folder(), "kootask") }

// name returns the name of an archive, without its ending.
func (t target) name() string { return fmt.Sprintf("kootask-%s-%s-%s", t.version, t.os, t.arch) }

func main() {
	var r release
	flag.StringVar(&r.version, "version", "", "version of the packages")
	flag.StringVar(&r.commit, "commit", "", "commit that the programs were built from")
	flag.Parse()
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		err = fmt.Errorf("SOURCE_DATE_EPOCH must be the time of the commit in seconds since 1970: %w", err)
	} else {
		r.time = time.Unix(seconds, 0).UTC()
		err = run(r, flag.Args())
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

// run makes the packages for platforms such as linux/amd64.
func run(r release, platforms []string) error {
	if r.version == "" || r.commit == "" {
		return errors.New("without git, the version is unknown: run make dist in a clone, or set VERSION and COMMIT")
	}
	if len(platforms) == 0 {
		return errors.New("no platform is named: set DIST_PLATFORMS to platforms such as linux/amd64")
	}
	var linux []target
	for _, platform := range platforms {
		system, arch, found := strings.Cut(platform, "/")
		if !found {
			return fmt.Errorf("%q: a platform has the form linux/amd64", platform)
		}
		t, err := prepare(target{release: r, os: system, arch: arch})
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		if err := archive(t); err != nil {
			return fmt.Errorf("%s: archive: %w", platform, err)
		}
		if system != "linux" {
			continue
		}
		for _, format := range []string{"deb", "rpm"} {
			if err := systemPackage(t, format); err != nil {
				return fmt.Errorf("%s: %s: %w", platform, format, err)
			}
		}
		linux = append(linux, t)
	}
	if len(linux) > 0 {
		if err := image(linux); err != nil {
			return fmt.Errorf("image: %w", err)
		}
	}
	return checksums()
}

// prepare finds the components of a platform's program, and writes the files about them.
func prepare(t target) (target, error) {
	var err error
	if t.parts, err = linked(t); err != nil {
		return t, err
	}
	if err := writeCopyright(t); err != nil {
		return t, err
	}
	return t, writeComponents(t)
}
