package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// image writes the OCI image for all platforms of Linux, as a tar of an OCI layout. It begins with an empty file system.
func image(targets []target) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, t := range targets {
		one, err := platformImage(t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: one, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: t.os, Architecture: t.arch}},
		})
	}
	const folder = "bin/dist/image"
	// One entry, so that programs which read one image choose the platform themselves.
	place, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	name := map[string]string{"org.opencontainers.image.ref.name": "kootask:" + targets[0].version}
	if err := place.AppendIndex(index, layout.WithAnnotations(name)); err != nil {
		return err
	}
	var b bytes.Buffer
	out := newTree(&b, targets[0].time)
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error { // In the order of the names.
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		return out.add(filepath.ToSlash(name), 0o644, content)
	})
	if err != nil {
		return err
	}
	if err := out.to.Close(); err != nil {
		return err
	}
	return os.WriteFile(fmt.Sprintf("dist/kootask-%s-image.tar", targets[0].version), b.Bytes(), 0o644)
}

// platformImage returns the image for a platform. It contains the program, root certificates, and the licences.
func platformImage(t target) (v1.Image, error) {
	files, err := imageFiles(t)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	created := v1.Time{Time: t.time}
	one, err := mutate.Append(base, mutate.Addendum{Layer: layer, History: v1.History{Created: created, CreatedBy: "make dist"}})
	if err != nil {
		return nil, err
	}
	config, err := one.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = t.os, t.arch, created
	config.Config = v1.Config{
		User:       "65532:65532", // It need not be in /etc/passwd.
		Entrypoint: []string{"/kootask"},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "kootask",
			"org.opencontainers.image.version":  t.version,
			"org.opencontainers.image.revision": t.commit,
		},
	}
	return mutate.ConfigFile(one, config)
}

// imageFiles returns the tar with the files of an image.
func imageFiles(t target) ([]byte, error) {
	program, err := os.ReadFile(t.program())
	if err != nil {
		return nil, err
	}
	copyright, err := os.ReadFile(filepath.Join(t.folder(), "copyright"))
	if err != nil {
		return nil, err
	}
	roots, about, err := rootCertificates(t)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	out := newTree(&b, t.time)
	for _, file := range []struct {
		name    string
		mode    int64
		content []byte
	}{
		{"kootask", 0o755, program},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, roots}, // Go's first choice, and that of Debian.
		{"usr/share/doc/kootask/copyright", 0o644, copyright},
		{"usr/share/doc/ca-certificates/copyright", 0o644, about},
	} {
		if err := out.add(file.name, file.mode, file.content); err != nil {
			return nil, err
		}
	}
	if err := out.to.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// rootCertificates returns Mozilla's root certificates, which KooDrive's certificate is judged by, and the licence of their
// collection. Roots that Mozilla trusts with conditions are left out, because a file cannot state the conditions.
func rootCertificates(t target) (roots, about []byte, err error) {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, nil, err
		}
	}
	parts, err := modules(t, "packaging", "golang.org/x/crypto/x509roots/fallback/bundle")
	if err != nil {
		return nil, nil, err
	}
	var text bytes.Buffer
	text.WriteString("ca-certificates.crt has root certificates of Mozilla, as collected by this module:\n")
	parts = slices.DeleteFunc(parts, func(p part) bool { return p.name != "golang.org/x/crypto/x509roots/fallback" })
	if err := writeTexts(&text, parts); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), text.Bytes(), nil
}
