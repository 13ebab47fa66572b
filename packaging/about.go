package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// writeCopyright writes the file about the licences: that of kootask, and those of the parts.
func writeCopyright(t target) error {
	var b bytes.Buffer
	b.WriteString("kootask\n\nThe owner of kootask has not chosen a licence yet.\n\n" +
		"The program contains the following works of others. Their licences and notices are below, in this order:\n\n")
	for _, p := range t.parts {
		_, _ = fmt.Fprintf(&b, "  %s %s\n", p.name, p.version)
	}
	if err := writeTexts(&b, t.parts); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.folder(), "copyright"), b.Bytes(), 0o644)
}

// writeTexts writes the licences and notices of parts.
func writeTexts(b *bytes.Buffer, parts []part) error {
	for _, p := range parts {
		for _, path := range p.texts {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name := filepath.Base(path)
			if _, below, found := strings.Cut(path, "@"+p.version+"/"); found { // The folder of a module ends with its version.
				name = below
			}
			_, _ = fmt.Fprintf(b, "\n==== %s %s: %s\n\n%s\n", p.name, p.version, name, bytes.TrimSpace(text))
		}
	}
	return nil
}

// writeComponents writes the list of components, in the form of CycloneDX. It has no serial number and no time, which would
// differ between equal builds.
func writeComponents(t target) error {
	program, err := os.ReadFile(t.program())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(program)
	const module = "github.com/kootask/kootask"
	root := cyclonedx.Component{
		BOMRef: module, Type: cyclonedx.ComponentTypeApplication, Name: "kootask", Version: t.version,
		PackageURL: packageURL("golang", module, t.version),
		Hashes:     &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
	}
	var components []cyclonedx.Component
	var used []string
	for _, p := range t.parts {
		components = append(components, cyclonedx.Component{
			BOMRef: p.url, Type: cyclonedx.ComponentTypeLibrary, Name: p.name, Version: p.version, PackageURL: p.url,
		})
		used = append(used, p.url)
	}
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &root}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: root.BOMRef, Dependencies: &used}}

	var b bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&b, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("dist", t.name()+".cdx.json"), b.Bytes(), 0o644)
}
