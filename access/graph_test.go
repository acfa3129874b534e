// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

var update = flag.Bool("update", false, "Write the testdata anew.")

func drawn(t *testing.T) *Policy {
	t.Helper()
	return policy(t, account("ci"), account("default"), account("reporter"),
		role("reader", "get,list pods", "get configmaps=settings"), role(`"><script>`, "get pods/log"),
		bound("ci", "ClusterRole", "view", "dev/ci", "dev/gone"), bound("lost", "Role", "nowhere", "dev/default"), bound("reporter", "Role", "reader", "dev/reporter", "jane"),
		bound("odd", "Role", `"><script>`, "group:a\\b"),
		clusterBound("all", "system:discovery", "group:system:serviceaccounts:dev"), clusterBound("others", "view", "prod/ci"))
}

func TestAPolicyIsDrawn(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"dot", "mermaid", "svg"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			if err := Draw(&got, drawn(t).Graph("dev", nil), format); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "graph."+format)
			if *update {
				if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("the picture has changed; look at the difference after go test ./access -update\n%s", got.String())
			}
			if strings.Contains(got.String(), "<script>") && format != "dot" {
				t.Error("a name is markup")
			}
		})
	}
}

func TestAPictureIsWellFormed(t *testing.T) {
	t.Parallel()
	for _, p := range []*Policy{drawn(t), {}} {
		var picture strings.Builder
		if err := Draw(&picture, p.Graph("dev", nil), "svg"); err != nil {
			t.Fatal(err)
		}
		decoder := xml.NewDecoder(strings.NewReader(picture.String()))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAGraphOfOneSubjectHasWhatThatHolds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"dev/ci":         "ServiceAccount dev/ci, Group system:serviceaccounts:dev, RoleBinding dev/ci, ClusterRoleBinding all, ClusterRole view, ClusterRole system:discovery",
		"jane":           "User jane, RoleBinding dev/reporter, Role dev/reader",
		"group:nobody":   "",
		"prod/ci":        "ServiceAccount prod/ci (does not exist), ClusterRoleBinding others, ClusterRole view",
		"group:a\\b":     `Group a\b, RoleBinding dev/odd, Role dev/"><script>`,
		"user:reporter":  "",
		"dev/not-there":  "Group system:serviceaccounts:dev, ClusterRoleBinding all, ClusterRole system:discovery",
		"prod/not-there": "",
	} {
		subject := subjectsOf([]string{text})[0]
		g := drawn(t).Graph("dev", &subject)
		var titles []string
		for i := range g.Nodes {
			if g.Nodes[i].Column != Reach {
				titles = append(titles, g.Nodes[i].title())
			}
		}
		if got := strings.Join(titles, ", "); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		for _, e := range g.Edges {
			if g.Nodes[e.To].Column != g.Nodes[e.From].Column+1 {
				t.Errorf("%s: an edge leads from %s to %s", text, g.Nodes[e.From].title(), g.Nodes[e.To].title())
			}
		}
	}
}

func TestAnUnknownFormatIsNamedWithTheKnownOnes(t *testing.T) {
	t.Parallel()
	err := Draw(io.Discard, &Graph{}, "png")
	if err == nil || !strings.Contains(err.Error(), `"png" is no format for a graph: dot, mermaid or svg`) {
		t.Errorf("got %v", err)
	}
}

// A picture tells as much of a role as fits.
func TestLongRolesAreCutShort(t *testing.T) {
	t.Parallel()
	var many []rbacv1.PolicyRule
	for range 30 {
		many = append(many, rule("get,list,watch,create,update,patch,delete pods"))
	}
	lines := linesOf(many)
	if len(lines) != maxLines || lines[maxLines-1] != "and 21 more rules" || lines[0] != "get, list, watch, create, update and 2 more: pods" {
		t.Errorf("got %q", lines)
	}
}
