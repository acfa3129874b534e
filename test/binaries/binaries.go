// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package binaries builds the programs that end-to-end tests run, and says where they are.
//
// A TestMain calls Build once for each program it needs. How a program is built is the Makefile's business: tests and
// `make` share one copy under bin/, which go relinks only when something in it has changed.
package binaries

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Build brings bin/name up to date, name being "muster", "kubectl" or "signer", and returns its absolute path. It may be called
// from several processes at a time: a lock in bin/ makes them wait for each other. The error carries the compiler's words.
//
// Build must run inside the module. It touches every source file, so that go forgets the calling test's cached result
// when a source changes; go cannot see by itself that the test depends on a program.
func Build(name string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	if err := touchSources(root); err != nil {
		return "", fmt.Errorf("looking through the sources of %q: %w", name, err)
	}
	bin := filepath.Join(root, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("making a folder for %q: %w", name, err)
	}
	unlock, err := lockedfile.MutexAt(filepath.Join(bin, ".lock")).Lock()
	if err != nil {
		return "", fmt.Errorf("waiting to build %q: %w", name, err)
	}
	defer unlock()

	build := exec.Command("make", "--silent", "bin/"+name)
	build.Dir = root
	build.Env = withoutMake(os.Environ())
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %q: %w\n%s", name, err, out)
	}
	return filepath.Join(bin, name), nil
}

// moduleRoot is the nearest folder above the working directory that holds a go.mod; go test starts every test in the
// folder of its package.
func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod in %q or above", start)
		}
	}
}

// touchSources reads every folder of the module. That is all it takes: for each folder that a test reads, go keeps names,
// sizes and times of what is in it together with the test's result.
func touchSources(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another test's temporary file
		}
		if err != nil || !entry.IsDir() || path == root {
			return err
		}
		if name := entry.Name(); name == "bin" || strings.HasPrefix(name, ".") {
			return fs.SkipDir
		}
		return nil
	})
}

// withoutMake drops what a make above these tests has left in the environment: its job slots are not open here, and its
// flags were not meant for this build.
func withoutMake(environ []string) []string {
	kept := make([]string, 0, len(environ))
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if name != "MAKEFLAGS" && name != "MFLAGS" && name != "MAKELEVEL" && name != "MAKEOVERRIDES" {
			kept = append(kept, entry)
		}
	}
	return kept
}
