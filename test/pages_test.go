// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// page is one Markdown file, as far as it can be tried.
type page struct {
	blocks   []block
	links    []link
	anchors  map[string]bool // of its headings, as GitHub names them
	problems []string        // what cannot be read
}

// block is a fenced block. Its kind is the first word after the fence, and says what becomes of it:
//
//	sh          is run, in order, in the one shell of its page; each command must succeed
//	sh fails    is run, and its last command must fail
//	output      is what the block before it prints; "..." stands for anything
//	go FILE     is a part of that file of the repository; so is js FILE
//	text        is for reading only
type block struct {
	line        int // of its fence
	kind, about string
	text        string
}

// link is where a page leads. If its text is code and its target a Go file, the text names what that file declares.
type link struct {
	line         int
	text, target string
}

var (
	inlineCode = regexp.MustCompile("`[^`]*`")
	anyLink    = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	noAnchor   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

func parsePage(source string) page {
	p := page{anchors: map[string]bool{}}
	var open *block
	for i, line := range strings.Split(source, "\n") {
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open == nil:
			kind, about, _ := strings.Cut(info, " ")
			open = &block{line: i + 1, kind: kind, about: about}
			if problem := faultOf(*open, p.blocks); problem != "" {
				p.problems = append(p.problems, fmt.Sprintf("line %d: %s", i+1, problem))
			}
		case fence:
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		default:
			p.readProse(i+1, line)
		}
	}
	if open != nil {
		p.problems = append(p.problems, fmt.Sprintf("line %d: the block has no end", open.line))
	}
	return p
}

// isPart tells whether the block shows a part of a file.
func (b block) isPart() bool { return b.kind == "go" || b.kind == "js" }

// faultOf tells what is wrong with the opening of a block.
func faultOf(b block, before []block) string {
	switch b.kind + " " + b.about {
	case "sh ", "sh fails", "text ":
		return ""
	case "output ":
		if len(before) == 0 || before[len(before)-1].kind != "sh" {
			return "an output block must follow the sh block that prints it"
		}
		return ""
	}
	if b.isPart() && b.about != "" {
		return ""
	}
	return fmt.Sprintf("nobody knows what to do with a block of kind %q", strings.TrimSpace(b.kind+" "+b.about))
}

func (p *page) readProse(number int, line string) {
	if heading := strings.TrimLeft(line, "#"); heading != line {
		name := noAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
		p.anchors[strings.ReplaceAll(name, " ", "-")] = true
	}
	prose := inlineCode.ReplaceAllStringFunc(line, func(code string) string { return strings.ReplaceAll(code, "](", "] (") })
	for _, found := range anyLink.FindAllStringSubmatch(prose, -1) {
		p.links = append(p.links, link{line: number, text: found[1], target: found[2]})
	}
}

// says tells whether got is what a page shows, give or take the width of gaps. "..." in a line stands for anything in
// that line, and a line of it alone for any lines.
func says(shown, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	for line := range strings.Lines(gaps(shown)) {
		if line == "...\n" {
			pattern.WriteString(`(?:.*\n)*`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, `.*`))
	}
	pattern.WriteString(`$`)
	return regexp.MustCompile(pattern.String()).MatchString(gaps(got))
}

var gap = regexp.MustCompile(`[ \t]+`)

// gaps makes each gap one space, drops those at the ends of lines, and ends the last line.
func gaps(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(gap.ReplaceAllString(line, " "), " \n")+"\n")
	}
	return strings.Join(lines, "")
}

func TestPagesAreReadAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	fence := "```"
	p := parsePage(strings.Join([]string{
		"# How `muster run` works, in short",
		"See [`Start`](server/server.go), [design](docs/design.md#the-rooms), [this](https://example.com), not `[x](y)`.",
		fence + "sh", "kubectl [get](pods)", "# no heading", fence,
		fence + "output", "NAME", fence,
		fence + "sh fails", "false", fence,
		fence + "go a/b.go", "x := 1", fence,
		fence + "js a/b.mjs", "let x", fence,
		fence + "python", fence,
		fence + "go", fence,
		fence + "output", fence,
		fence + "text", "no end",
	}, "\n"))
	want := page{
		blocks: []block{
			{line: 3, kind: "sh", text: "kubectl [get](pods)\n# no heading\n"},
			{line: 7, kind: "output", text: "NAME\n"},
			{line: 10, kind: "sh", about: "fails", text: "false\n"},
			{line: 13, kind: "go", about: "a/b.go", text: "x := 1\n"},
			{line: 16, kind: "js", about: "a/b.mjs", text: "let x\n"},
			{line: 19, kind: "python"},
			{line: 21, kind: "go"},
			{line: 23, kind: "output"},
		},
		links: []link{
			{2, "`Start`", "server/server.go"},
			{2, "design", "docs/design.md#the-rooms"},
			{2, "this", "https://example.com"},
		},
		anchors: map[string]bool{"how-muster-run-works-in-short": true},
		problems: []string{
			`line 19: nobody knows what to do with a block of kind "python"`,
			`line 21: nobody knows what to do with a block of kind "go"`,
			"line 23: an output block must follow the sh block that prints it",
			"line 25: the block has no end",
		},
	}
	if diff := cmp.Diff(want, p, cmp.AllowUnexported(page{}, block{}, link{})); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestOutputIsComparedLooselyButNotBlindly(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		shown, got string
		want       bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "a", true},
		{"a b\n", "a     b  \n", true},
		{"NAME AGE\ndev ...\n", "NAME   AGE\ndev    3s\n", true},
		{"a\n...\nz\n", "a\nb\nc\nz\n", true},
		{"a\n...\nz\n", "a\nz\n", true},
		{"uid: ...-...\n", "uid: 12-34\n", true},
		{"", "", true},
		{"a\n", "b\n", false},
		{"a\n", "a\nb\n", false},
		{"a\nb\n", "a\n", false},
		{"a ...\n", "a\nb\n", false},
		{"a.c\n", "abc\n", false},
		{"", "a\n", false},
		{"a\n...\nz\n", "a\nb\n", false},
	} {
		if got := says(test.shown, test.got); got != test.want {
			t.Errorf("%q taken for %q: %v, want %v", test.got, test.shown, got, test.want)
		}
	}
}
