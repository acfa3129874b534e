// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// pins are the answers that must not change.
//
//go:embed testdata
var pins embed.FS

// pin compares an answer with that in testdata, or writes it there.
func (e *env) pin(name, got string) {
	e.Helper()
	got = strings.TrimRight(got, "\n") + "\n"
	if e.target.Rewrite != "" {
		file := filepath.Join(e.target.Rewrite, filepath.FromSlash(name))
		e.check(os.MkdirAll(filepath.Dir(file), 0o755))
		e.check(os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := pins.ReadFile("testdata/" + name)
	e.check(err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		e.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// inconstant is what differs between two runs, by what it is called in a pin.
func inconstant() []struct {
	name    string
	pattern *regexp.Regexp
} {
	return []struct {
		name    string
		pattern *regexp.Regexp
	}{
		{"TOKEN", regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)},
		{"UID", regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)},
		{"TIME", regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)},
		{`resourceVersion${1}VERSION`, regexp.MustCompile(`resourceVersion(\\?": ?\\?")\d+`)},
		// What the server calls its types within.
		{`SCHEME`, regexp.MustCompile(`scheme "[^"]+"`)},
		{`to (${1})`, regexp.MustCompile(`to \(\w+\.(\w+)\)`)},
		{"SECONDS", regexp.MustCompile(`\b1\d{9}\b`)},
	}
}

// steady is a text without what differs between two runs. Further pairs of what
// to replace and by what go first.
func (e *env) steady(text string, replace ...string) string {
	text = strings.NewReplacer(append(replace, e.ns, "NAMESPACE")...).Replace(text)
	for _, each := range inconstant() {
		text = each.pattern.ReplaceAllString(text, each.name)
	}
	return text
}

// refused is a request that is turned away, told in words.
type refused struct {
	what string
	request
}

// pinRefusals sends all requests, one after the other, and pins how each is
// turned away.
func (e *env) pinRefusals(name string, all []refused, replace ...string) {
	e.Helper()
	var told strings.Builder
	for _, each := range all {
		got := e.do(each.request)
		if got.code < 400 {
			e.Errorf("%s: the answer is %d, want a refusal", each.what, got.code)
		}
		fmt.Fprintf(&told, "# %s\n%s\n\n", each.what, e.steady(got.refusal(), replace...))
	}
	e.pin(name, told.String())
}
