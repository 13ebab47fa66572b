package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // Registers the format.
	_ "github.com/goreleaser/nfpm/v2/rpm" // Registers the format.
)

// systemPackage writes a deb or rpm, as packaging/nfpm.yaml describes it.
func systemPackage(t target, format string) error {
	if err := compressManual(); err != nil {
		return err
	}
	config, err := nfpm.ParseFileWithEnvMapping("packaging/nfpm.yaml", func(name string) string {
		return map[string]string{"VERSION": t.version, "ARCH": t.arch, "FOLDER": t.folder()}[name]
	})
	if err != nil {
		return err
	}
	info, err := config.Get(format)
	if err != nil {
		return err
	}
	nfpm.WithDefaults(info) // Times are those of SOURCE_DATE_EPOCH.
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := packager.Package(info, &b); err != nil {
		return fmt.Errorf("packaging/nfpm.yaml: %w", err)
	}
	return os.WriteFile(filepath.Join("dist", packager.ConventionalFileName(info)), b.Bytes(), 0o644)
}

// compressManual packs the manual page, as Debian's policy requires.
func compressManual() error {
	page, err := os.ReadFile("bin/dist/kootask.1")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	packed, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := packed.Write(page); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return os.WriteFile("bin/dist/kootask.1.gz", b.Bytes(), 0o644)
}
