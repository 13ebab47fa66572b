package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// tree writes a tar whose files belong to root and have one time. Folders are written before the files in them.
type tree struct {
	to      *tar.Writer
	time    time.Time
	folders map[string]bool
}

func newTree(w io.Writer, t time.Time) *tree {
	return &tree{to: tar.NewWriter(w), time: t, folders: map[string]bool{".": true}}
}

// add writes a file, and the folders that it is in.
func (b *tree) add(name string, mode int64, content []byte) error {
	if err := b.folder(path.Dir(name)); err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: b.time}
	if err := b.to.WriteHeader(header); err != nil {
		return err
	}
	_, err := b.to.Write(content)
	return err
}

func (b *tree) folder(name string) error {
	if b.folders[name] {
		return nil
	}
	b.folders[name] = true
	if err := b.folder(path.Dir(name)); err != nil {
		return err
	}
	return b.to.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: b.time})
}

// copyFrom adds files by their paths below a folder of the tarball, with the mode 0644.
func (b *tree) copyFrom(folder string, paths map[string][]string) error {
	for _, below := range slices.Sorted(maps.Keys(paths)) {
		for _, from := range paths[below] {
			content, err := os.ReadFile(from)
			if err != nil {
				return err
			}
			if err := b.add(path.Join(folder, below, filepath.Base(from)), 0o644, content); err != nil {
				return err
			}
		}
	}
	return nil
}

// archive writes the tar.gz of a platform. It has one folder, so that it can be unpacked anywhere.
func archive(t target) error {
	documents, err := filepath.Glob("docs/*.md")
	if err != nil {
		return err
	}
	files := map[string][]string{
		"": {
			filepath.Join(t.folder(), "copyright"), "README.md", "CHANGELOG.md", "SECURITY.md",
			"packaging/kootask.yaml", "bin/dist/kootask.1",
		},
		"completions": {"bin/dist/kootask.bash", "bin/dist/_kootask", "bin/dist/kootask.fish"},
		"docs":        documents,
	}
	if t.os == "linux" {
		files[""] = append(files[""], "deploy/kootask.service")
	}
	program, err := os.ReadFile(t.program())
	if err != nil {
		return err
	}
	var b bytes.Buffer
	packed := gzip.NewWriter(&b)
	out := newTree(packed, t.time)
	if err := out.add(t.name()+"/kootask", 0o755, program); err != nil {
		return err
	}
	if err := out.copyFrom(t.name(), files); err != nil {
		return err
	}
	if err := out.to.Close(); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("dist", t.name()+".tar.gz"), b.Bytes(), 0o644)
}

// checksums writes the file that sha256sum --check reads.
func checksums() error {
	entries, err := os.ReadDir("dist") // Sorted by name.
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join("dist", entry.Name()))
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(content), entry.Name())
	}
	return os.WriteFile("dist/SHA256SUMS", b.Bytes(), 0o644)
}
