// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// The measures of a picture, in pixels.
const (
	margin     = 24
	lineHeight = 17
	padding    = 9
	between    = 14 // boxes of a column
	gap        = 72 // columns
	letter     = 7.3
	minWidth   = 90
)

// style follows the reader's choice of a light or a dark page.
const style = `<style>
svg{background:#fff;font:12px ui-monospace,monospace}
text{fill:#1b1f24}.head{fill:#6a737d;font-weight:bold}.kind{fill:#6a737d}
rect{fill:#f6f8fa;stroke:#8c959f}.subject{fill:#ddf4ff;stroke:#54aeff}.role{fill:#fff8c5;stroke:#d4a72c}
.missing{fill:#ffebe9;stroke:#cf222e;stroke-dasharray:4}path{fill:none;stroke:#8c959f}
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.head,.kind{fill:#8b949e}
rect{fill:#161b22;stroke:#6e7681}.subject{fill:#0c2d6b;stroke:#388bfd}.role{fill:#341a00;stroke:#9e6a03}.missing{fill:#490202;stroke:#f85149}path{stroke:#6e7681}}
</style>
`

// box is where a node is drawn.
type box struct{ x, y, width, height float64 }

// svg draws the columns beside each other, with curves between them.
func svg(g *Graph) string {
	boxes, width, height := layout(g)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img">`+"\n", width, height, width, height)
	b.WriteString("<title>Who reaches what</title>\n" + style)
	headed := map[Column]bool{}
	for i := range g.Nodes {
		if c := g.Nodes[i].Column; !headed[c] {
			headed[c] = true
			fmt.Fprintf(&b, `<text class="head" x="%.0f" y="%d">%s</text>`+"\n", boxes[i].x, margin, [...]string{"who", "by which binding", "of which role", "may"}[c])
		}
	}
	for _, e := range g.Edges {
		from, to := boxes[e.From], boxes[e.To]
		x1, y1, x2, y2 := from.x+from.width, from.y+from.height/2, to.x, to.y+to.height/2
		fmt.Fprintf(&b, `<path d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f"/>`+"\n", x1, y1, x1+gap/2, y1, x2-gap/2, y2, x2, y2)
	}
	for i := range g.Nodes {
		b.WriteString(g.Nodes[i].svg(boxes[i]))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// layout places the boxes: the columns from left to right, each centred.
func layout(g *Graph) (boxes []box, width, height float64) {
	boxes = make([]box, len(g.Nodes))
	var widths, heights [Reach + 1]float64
	for i := range g.Nodes {
		n := &g.Nodes[i]
		boxes[i].width, boxes[i].height = n.size()
		widths[n.Column] = max(widths[n.Column], boxes[i].width)
		heights[n.Column] += boxes[i].height + between
		height = max(height, heights[n.Column])
	}
	x := float64(margin)
	var lefts, tops [Reach + 1]float64
	for c := range widths {
		lefts[c], tops[c] = x, 2*margin-lineHeight/2+(height-heights[c])/2
		if widths[c] > 0 {
			x += widths[c] + gap
		}
	}
	for i := range g.Nodes {
		c := g.Nodes[i].Column
		boxes[i].x, boxes[i].y, boxes[i].width = lefts[c], tops[c], widths[c]
		tops[c] += boxes[i].height + between
	}
	return boxes, max(x-gap, margin) + margin, height + 2*margin
}

// words are the lines of a box: the kind above the name, as it is narrower so.
func (n *Node) words() []string {
	if n.Column == Reach {
		return n.Lines
	}
	kind := n.Kind
	if n.Missing {
		kind += " (does not exist)"
	}
	return []string{kind, n.Name}
}

func (n *Node) size() (width, height float64) {
	longest := 0
	for _, line := range n.words() {
		longest = max(longest, utf8.RuneCountInString(line))
	}
	return max(minWidth, float64(longest)*letter+2*padding), float64(len(n.words())*lineHeight + 2*padding - 4)
}

func (n *Node) svg(at box) string {
	class := [...]string{"subject", "binding", "role", "reach"}[n.Column]
	if n.Missing {
		class = "missing"
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<g><title>%s</title><rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="5"/>`, html.EscapeString(n.title()), class, at.x, at.y, at.width, at.height)
	for i, line := range n.words() {
		kind := ""
		if i == 0 && n.Column != Reach {
			kind = ` class="kind"`
		}
		fmt.Fprintf(&b, `<text%s x="%.1f" y="%.1f">%s</text>`, kind, at.x+padding, at.y+padding+float64(i*lineHeight)+lineHeight-6, html.EscapeString(line))
	}
	b.WriteString("</g>\n")
	return b.String()
}
