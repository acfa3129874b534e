// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exempt are the blocks that are shown and not run: the first is run by a test of its own, the second runs this one.
var exempt = map[string]bool{"make demo\n": true, "make test\n": true}

// pages are README.md and all that is in docs, by their path from here.
func pages(t *testing.T) map[string]page {
	t.Helper()
	paths, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]page{}
	for _, path := range append(paths, "../README.md") {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = parsePage(string(source))
	}
	return all
}

func TestPagesAreInOrder(t *testing.T) {
	t.Parallel()
	for path, p := range pages(t) {
		for _, problem := range p.problems {
			t.Errorf("%s: %s", path, problem)
		}
		for _, b := range p.blocks {
			if b.isPart() && !partOf(t, filepath.Join("..", b.about), b.text) {
				t.Errorf("%s:%d: the block is no part of %s", path, b.line, b.about)
			}
		}
	}
}

func partOf(t *testing.T, path, text string) bool {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return strings.Contains(string(source), text)
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := pages(t)
	linked := map[string]bool{}
	for path, p := range all {
		for _, l := range p.links {
			if strings.Contains(l.target, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(l.target, "#")
			target := filepath.Join(filepath.Dir(path), file)
			if file == "" {
				target = path
			}
			linked[target] = linked[target] || path == "../README.md"
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s:%d: %v", path, l.line, err)
			} else if anchor != "" && !all[target].anchors[anchor] {
				t.Errorf("%s:%d: %s has no heading #%s", path, l.line, target, anchor)
			} else if name, code := declared(l); code && !declares(read(t, target), name) {
				t.Errorf("%s:%d: %s does not declare %s", path, l.line, target, name)
			}
		}
	}
	for path := range all {
		if path != "../README.md" && !linked[path] {
			t.Errorf("%s: README.md does not lead there", path)
		}
	}
}

// declared is the name, without package or type before it, of what the text of a link says is in a Go file.
func declared(l link) (name string, ok bool) {
	text, code := strings.CutPrefix(strings.TrimSuffix(l.text, "`"), "`")
	if !code || filepath.Ext(l.target) != ".go" {
		return "", false
	}
	return text[strings.LastIndexByte(text, '.')+1:], true
}

func declares(source, name string) bool {
	return regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type |const |var |\t)` + regexp.QuoteMeta(name) + `\b`).MatchString(source)
}

// showingTest is the last cell of a row: a link to a test, by the name of its function or of its script.
var showingTest = regexp.MustCompile(`\[(\w+)(\.txtar)?\]\((\S+)\) \|$`)

func TestEachDifferenceIsShownByATestThatExists(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(source)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "| Group ") {
			break // what follows is no difference, but what there is
		}
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Kubernetes ") {
			continue
		}
		rows++
		shown := showingTest.FindStringSubmatch(line)
		if shown == nil {
			t.Errorf("the row does not end with the test that shows it:\n%s", line)
			continue
		}
		name, script, file := shown[1], shown[2] != "", filepath.Join("../docs", shown[3])
		switch {
		case script && filepath.Base(file) != name+".txtar":
			t.Errorf("%s.txtar leads to %s", name, file)
		case !script && !partOf(t, file, "\nfunc "+name+"(t *testing.T)"):
			t.Errorf("%s has no test %s", file, name)
		}
	}
	if rows == 0 {
		t.Error("docs/differences.md has no rows")
	}
}

func TestPagesRunAsWritten(t *testing.T) {
	t.Parallel()
	for path, p := range pages(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			runPage(t, path, p)
		})
	}
}

// runPage runs the sh blocks of a page in one shell, on a throw-away server and in an empty home, and compares what
// they print with what the page shows.
func runPage(t *testing.T, path string, p page) {
	t.Helper()
	printed := t.TempDir() // a file for each block that was reached
	script := "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n"
	var runs []int
	for i, b := range p.blocks {
		if b.kind != "sh" || exempt[b.text] {
			continue
		}
		runs = append(runs, i)
		script += fmt.Sprintf("exec >%s 2>&1\n", filepath.Join(printed, fmt.Sprint(i)))
		if b.about == "fails" {
			script += "if {\n" + b.text + "}; then echo 'this should have failed'; exit 1; fi\n"
		} else {
			script += b.text
		}
	}
	if len(runs) == 0 {
		return
	}
	runErr := runScript(t, script)
	last, out := -1, ""
	for _, i := range runs {
		got, err := os.ReadFile(filepath.Join(printed, fmt.Sprint(i)))
		if err != nil {
			break // not reached
		}
		last, out = i, string(got)
		comparePage(t, path, p.blocks[i:], out)
	}
	if runErr != nil && last < 0 {
		t.Fatalf("%s: %v", path, runErr)
	}
	if runErr != nil {
		t.Errorf("%s:%d: the block ended with an error: %v\n%s", path, p.blocks[last].line, runErr, withoutTokens(out))
	}
}

// comparePage compares what the first of the blocks has printed with the output block after it, if there is one. A
// block that shows no output may print what it likes.
func comparePage(t *testing.T, path string, blocks []block, got string) {
	t.Helper()
	if strings.Contains(got, "muster: no private mount namespace") {
		t.Skip("needs private mount namespaces")
	}
	if strings.Contains(got, "curl: command not found") {
		t.Skip("needs curl")
	}
	if len(blocks) > 1 && blocks[1].kind == "output" && !says(blocks[1].text, got) {
		t.Errorf("%s:%d: the page says\n%s\nand the command\n%s", path, blocks[1].line, blocks[1].text, withoutTokens(got))
	}
}

// runScript runs a script as someone would who follows the page in the shell of `muster dev`.
func runScript(t *testing.T, script string) error {
	t.Helper()
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	var complaints bytes.Buffer
	dev := exec.CommandContext(t.Context(), filepath.Join(bin, "muster"), "dev", "--", "bash", "-c", script)
	dev.Dir = home
	dev.Env = append(os.Environ(), "HOME="+home, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	dev.Stderr = &complaints
	if err := dev.Run(); err != nil {
		return fmt.Errorf("%w %s", err, complaints.String())
	}
	return nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var signedToken = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)

// withoutTokens is a text as it may be logged.
func withoutTokens(text string) string {
	return signedToken.ReplaceAllString(text, "<token>")
}
