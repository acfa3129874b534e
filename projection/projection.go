// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package projection keeps projected volumes on disk: a handful of small files (a token, a CA bundle, a
// namespace) that a process may read at any moment and that change under its eyes.
//
// It owns the layout of the directory and the order in which it changes. The node room calls it and brings
// the bytes; where they come from, and when they are due for renewal, is no concern of this room.
//
// The layout is the one that every Kubernetes client knows
// (Kubernetes: pkg/volume/util/atomic_writer.go):
//
//	volume/..2026_08_01_12_00_00.7/token      the data
//	volume/..data -> ..2026_08_01_12_00_00.7  which data counts; replaced by one rename
//	volume/token -> ..data/token              what readers open
//
// A reader that opens the files below ..data sees one payload, old or new, never a mixture.
package projection

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// File is the content of one projected file and its permission bits. The umask does not apply.
type File struct {
	Data []byte
	Mode fs.FileMode
}

// Payload is all that one volume shows: files by their slash-separated path below the volume.
type Payload map[string]File

const (
	maxPath    = 4096 // bytes of a whole path
	maxElement = 255  // bytes of one element
)

// CleanPath returns name in the one form in which it is used as a path below a volume, or an error if it
// could leave the volume or touch what the Writer keeps there: a path must be relative, must not contain
// "..", and its first element must not begin with "..".
//
// The rules hold for the cleaned path, so that "./..data" is refused as "..data" is.
func CleanPath(name string) (string, error) {
	if len(name) > maxPath {
		return "", fmt.Errorf("projected path is longer than %d bytes", maxPath)
	}
	if name == "" || path.IsAbs(name) || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("projected path %q is not a relative path", name)
	}
	for element := range strings.SplitSeq(name, "/") {
		if element == ".." {
			return "", fmt.Errorf("projected path %q contains '..'", name)
		}
		if len(element) > maxElement {
			return "", fmt.Errorf("projected path %q has an element longer than %d bytes", name, maxElement)
		}
	}
	clean := path.Clean(name)
	if clean == "." {
		return "", fmt.Errorf("projected path %q names no file", name)
	}
	if strings.HasPrefix(clean, "..") {
		return "", fmt.Errorf("projected path %q starts with '..'", name)
	}
	return clean, nil
}

// clean returns the payload by cleaned paths. It is an error if two paths meet: the same file twice, or a
// file where another path needs a directory.
func (p Payload) clean() (Payload, error) {
	out := make(Payload, len(p))
	for name, file := range p {
		clean, err := CleanPath(name)
		if err != nil {
			return nil, err
		}
		if _, ok := out[clean]; ok {
			return nil, fmt.Errorf("projected path %q is given twice", clean)
		}
		out[clean] = file
	}
	for name := range out {
		for dir := range parents(name) {
			if _, ok := out[dir]; ok {
				return nil, fmt.Errorf("projected path %q is needed as a file and as a directory", dir)
			}
		}
	}
	return out, nil
}

// equal reports whether both payloads hold the same paths with the same bytes and modes.
func (p Payload) equal(other Payload) bool {
	if len(p) != len(other) {
		return false
	}
	for name, file := range p {
		twin, ok := other[name]
		if !ok || twin.Mode != file.Mode || !bytes.Equal(twin.Data, file.Data) {
			return false
		}
	}
	return true
}

// parents yields the directories above name, the outermost first: "a", "a/b" for "a/b/c".
func parents(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := range len(name) {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
	}
}
