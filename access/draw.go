// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// Draw writes a graph in a format: dot (Graphviz), mermaid (as in Markdown) or
// svg (a picture that needs no other program).
func Draw(w io.Writer, g *Graph, format string) error {
	draw, known := map[string]func(*Graph) string{"dot": dot, "mermaid": mermaid, "svg": svg}[format]
	if !known {
		return fmt.Errorf("%q is no format for a graph: dot, mermaid or svg", format)
	}
	_, err := io.WriteString(w, draw(g))
	return err
}

// title is the first line of a box.
func (n *Node) title() string {
	title := n.Name
	if n.Kind != "" {
		title = n.Kind + " " + n.Name
	}
	if n.Missing {
		title += " (does not exist)"
	}
	return title
}

// text is all that is in a box; what a role reaches has no title.
func (n *Node) text() []string {
	if n.Column == Reach {
		return n.Lines
	}
	return []string{n.title()}
}

// dot writes Graphviz' language (https://graphviz.org/doc/info/lang.html).
func dot(g *Graph) string {
	var b strings.Builder
	b.WriteString("digraph access {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\", fontsize=11];\n")
	for i := range g.Nodes {
		n := &g.Nodes[i]
		style := ""
		switch {
		case n.Missing:
			style = ", style=dashed"
		case n.Column == Subjects:
			style = ", style=rounded"
		case n.Column == Reach:
			style = ", shape=note"
		}
		var label strings.Builder
		for _, line := range n.text() {
			label.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(line) + `\l`)
		}
		fmt.Fprintf(&b, "  n%d [label=\"%s\"%s];\n", i, label.String(), style)
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  n%d -> n%d;\n", e.From, e.To)
	}
	b.WriteString("}\n")
	return b.String()
}

// mermaid writes Mermaid's flowchart language.
func mermaid(g *Graph) string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i := range g.Nodes {
		n := &g.Nodes[i]
		// The entities of HTML, with # for & (Mermaid's own way to escape).
		label := strings.ReplaceAll(html.EscapeString(strings.Join(n.text(), "\n")), "&", "#")
		label = strings.NewReplacer("\n", "<br>", "##", "#", "`", "#96;").Replace(label)
		shape := [2]string{`["`, `"]`}
		if n.Column == Subjects {
			shape = [2]string{`("`, `")`}
		}
		fmt.Fprintf(&b, "  n%d%s%s%s\n", i, shape[0], label, shape[1])
		if n.Missing {
			fmt.Fprintf(&b, "  style n%d stroke-dasharray:4\n", i)
		}
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  n%d --> n%d\n", e.From, e.To)
	}
	return b.String()
}
