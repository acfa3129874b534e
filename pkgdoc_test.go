// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package muster_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryPackageIntroducesItselfOnce(t *testing.T) {
	t.Parallel()
	folders := map[string][]*ast.File{}
	files := token.NewFileSet()
	for _, path := range goFiles(t) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if !ast.IsGenerated(file) {
			folders[filepath.Dir(path)] = append(folders[filepath.Dir(path)], file)
		}
	}
	for folder, in := range folders {
		if fault := introductionFault(files, in); fault != "" {
			t.Errorf("%s: %s", folder, fault)
		}
	}
}

func TestFaultyIntroductionsAreFound(t *testing.T) {
	t.Parallel()
	const doc = "// Package a owns something.\npackage a\n"
	const bare = "// Copyright\n\npackage a\n"
	for _, test := range []struct {
		name    string
		sources map[string]string
		want    string
	}{
		{"one comment", map[string]string{"a.go": doc, "b.go": bare}, ""},
		{"no comment", map[string]string{"a.go": bare}, "package a has no package comment: write it in a.go"},
		{"two comments", map[string]string{"a.go": doc, "b.go": doc}, "package a has package comments in a.go and b.go: keep one, in a.go"},
		{"a comment where nobody looks", map[string]string{"a.go": bare, "b.go": doc}, "package a has its package comment in b.go: move it to a.go"},
		{"a program", map[string]string{"main.go": "// Command a does something.\npackage main\n"}, ""},
		{"a mute program", map[string]string{"main.go": "package main\n"}, "package main has no package comment: write it in main.go"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files := token.NewFileSet()
			var in []*ast.File
			for path, source := range test.sources {
				file, err := parser.ParseFile(files, path, source, parser.ParseComments|parser.PackageClauseOnly)
				if err != nil {
					t.Fatal(err)
				}
				in = append(in, file)
			}
			if diff := cmp.Diff(test.want, introductionFault(files, in)); diff != "" {
				t.Errorf("fault (-want +got):\n%s", diff)
			}
		})
	}
}

// introductionFault says what is wrong with the package comment of the files of one package, or nothing. The comment
// belongs in the file named after the package, where a reader opens it first.
func introductionFault(files *token.FileSet, in []*ast.File) string {
	name := in[0].Name.Name
	home := name + ".go"
	var found []string
	for _, file := range in {
		if file.Doc != nil {
			found = append(found, filepath.Base(files.Position(file.Package).Filename))
		}
	}
	slices.Sort(found)
	switch {
	case len(found) == 0:
		return fmt.Sprintf("package %s has no package comment: write it in %s", name, home)
	case len(found) > 1:
		return fmt.Sprintf("package %s has package comments in %s: keep one, in %s", name, strings.Join(found, " and "), home)
	case found[0] != home:
		return fmt.Sprintf("package %s has its package comment in %s: move it to %s", name, found[0], home)
	}
	return ""
}
