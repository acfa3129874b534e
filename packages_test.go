// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package muster_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A pkg is what `go list` says of a package. Tests are not counted: they may look at the whole house.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
	Dir        string // empty: imported somewhere, but not there
}

// packages are those of the module and all that they reach, by import path.
type packages map[string]pkg

// own are the module's packages that have more than tests, by their path within the module.
func (ps packages) own() map[string]pkg {
	own := map[string]pkg{}
	for path, p := range ps {
		if path, ok := strings.CutPrefix(path, module+"/"); ok {
			own[path] = p
		}
	}
	return own
}

// has tells whether there is a package at or below path.
func (ps packages) has(path string) bool {
	for p := range ps {
		if within(p, path) {
			return true
		}
	}
	return false
}

func loadPackages(t *testing.T) packages {
	t.Helper()
	goFiles(t) // so that a cached result is void when a source changes
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-buildvcs=false", "-deps", "-json=ImportPath,Imports,Deps,Standard,Dir", "./...")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing packages: %v\n%s", err, stderr.String())
	}
	loaded := packages{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return loaded
		} else if err != nil {
			t.Fatalf("reading the list of packages: %v", err)
		}
		if p.Dir != "" {
			loaded[p.ImportPath] = p
		}
	}
}

// goFiles are all Go files of the repository with their paths from its root, other modules in it included. Test data is
// left out: it may be anything.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != "." && (name == "bin" || name == "testdata" || strings.HasPrefix(name, ".")) {
			return fs.SkipDir
		}
		if !entry.IsDir() && filepath.Ext(name) == ".go" {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("looking for Go files: %v", err)
	}
	return files
}
