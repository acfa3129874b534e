// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/token"
)

var update = flag.Bool("update", false, "rewrite the pinned outputs in testdata")

// grant is one pod-bound token; tests change what they are about.
func grant() token.Grant {
	return token.Grant{
		Issuer:         "https://muster.example",
		ID:             "0b4a3c4e-3f3e-4d0c-8a43-0d2c5b6f7a81",
		Namespace:      "shop",
		ServiceAccount: token.Ref{Name: "cart", UID: "sa-uid"},
		Bound: token.ToPod(
			token.Ref{Name: "cart-0", UID: "pod-uid"},
			&token.Ref{Name: "n1", UID: "node-uid"},
		),
		Audiences: []string{"https://muster.example"},
		IssuedAt:  time.Unix(1_700_000_000, 999_999_999),
		Lifetime:  time.Hour,
	}
}

func TestClaimsAreLaidOutAsPinned(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*token.Grant){
		"pod":          func(*token.Grant) {},
		"pod-nowhere":  func(g *token.Grant) { g.Bound = token.ToPod(token.Ref{Name: "cart-0", UID: "pod-uid"}, nil) },
		"pod-no-node":  func(g *token.Grant) { g.Bound = token.ToPod(token.Ref{Name: "p", UID: "u"}, &token.Ref{Name: "gone"}) },
		"node":         func(g *token.Grant) { g.Bound = token.ToNode(token.Ref{Name: "n1", UID: "node-uid"}) },
		"secret":       func(g *token.Grant) { g.Bound = token.ToSecret(token.Ref{Name: "s", UID: "secret-uid"}) },
		"unbound":      func(g *token.Grant) { g.Bound = token.Binding{} },
		"no-audience":  func(g *token.Grant) { g.Audiences = nil },
		"audiences":    func(g *token.Grant) { g.Audiences = []string{"b", "a", "b", ""} },
		"warnafter":    func(g *token.Grant) { g.Lifetime, g.WarnAfter = 365*24*time.Hour, 3607*time.Second },
		"escaped":      func(g *token.Grant) { g.Audiences = []string{`<a&"b">`} },
		"no-id":        func(g *token.Grant) { g.ID = "" },
		"longest-life": func(g *token.Grant) { g.Lifetime = 1 << 32 * time.Second },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := grant()
			change(&g)
			got, err := g.Claims().Encode()
			if err != nil {
				t.Fatal(err)
			}
			pinned(t, filepath.Join("testdata", "claims", name+".json"), got)

			decoded, err := token.Decode(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.Claims(), *decoded); diff != "" {
				t.Errorf("decoded claims differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClaimsKeysAreSortedAtEachLevel(t *testing.T) {
	t.Parallel()
	ref := &token.Ref{Name: "n", UID: "u"}
	c := grant().Claims()
	c.Kubernetes = token.Kubernetes{
		Attestations:                   map[string][]string{"admissionReviewAPIGroups": {"*"}},
		MutatingWebhookConfiguration:   ref,
		Namespace:                      "ns",
		Node:                           ref,
		Pod:                            ref,
		Secret:                         ref,
		ServiceAccount:                 *ref,
		ValidatingWebhookConfiguration: ref,
		WarnAfter:                      1,
	}
	got, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	dec := json.NewDecoder(bytes.NewReader(got))
	dec.UseNumber()
	if err := dec.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.Marshal(fields) // which sorts the keys of maps
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(sorted), string(got)); diff != "" {
		t.Errorf("keys are not sorted (-sorted +got):\n%s", diff)
	}
}

func TestDecodeRefusesWhatCouldBeReadTwoWays(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"nothing":              ``,
		"null":                 `null`,
		"a list":               `[]`,
		"a string":             `"x"`,
		"an open object":       `{"exp":1`,
		"a trailing object":    `{"exp":1}{"exp":2}`,
		"exp twice":            `{"exp":1,"exp":2}`,
		"pod twice":            `{"exp":1,"kubernetes.io":{"pod":{"name":"a"},"pod":{"name":"b"}}}`,
		"exp in words":         `{"exp":"1"}`,
		"half a second":        `{"exp":1.5}`,
		"exponent":             `{"exp":1e9}`,
		"before 1970":          `{"exp":-1}`,
		"iat before 1970":      `{"iat":-1}`,
		"nbf before 1970":      `{"nbf":-1}`,
		"after 9999":           `{"exp":253402300800}`,
		"beyond all times":     `{"exp":9223372036854775807}`,
		"warnafter after 9999": `{"exp":1,"kubernetes.io":{"warnafter":253402300800}}`,
		"one audience, bare":   `{"aud":"a"}`,
		"an audience, number":  `{"aud":[1]}`,
		"a pod that is a name": `{"kubernetes.io":{"pod":"p"}}`,
	}
	for name, payload := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := token.Decode([]byte(payload))
			if err == nil || c != nil {
				t.Errorf("Decode(%s) = %v, %v; want nil and an error", payload, c, err)
			}
		})
	}
}

func TestDecodeReadsKeysByExactCaseAndPassesOverOthers(t *testing.T) {
	t.Parallel()
	c, err := token.Decode([]byte(` {"EXP":5,"exp":7,"other":{"a":[1]},"kubernetes.io":{"Pod":{"name":"p"},"namespace":"ns"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := token.Claims{Expiry: 7, Kubernetes: token.Kubernetes{Namespace: "ns"}}
	if diff := cmp.Diff(want, *c); diff != "" {
		t.Errorf("claims differ (-want +got):\n%s", diff)
	}
}

func TestClaimsWithoutExpiryAreExpired(t *testing.T) {
	t.Parallel()
	c, err := token.Decode([]byte(`{"iss":"x","sub":"y"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ValidateTime(time.Now(), token.Leeway); err != token.ErrExpired {
		t.Errorf("ValidateTime = %v, want %v", err, token.ErrExpired)
	}
}

// Whatever Kubernetes and Muster emit goes the short way, webhook configurations excepted, and says the same on either.
func TestPlainClaimsAreReadTheShortWay(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{"pod": true, "warnafter": true, "escaped": false, "no-audience": true} {
		payload, err := os.ReadFile(filepath.Join("testdata", "claims", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if got := token.IsPlain(payload); got != plain {
			t.Errorf("%s: plain %v, want %v", name, got, plain)
		}
		short, err := token.Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := token.DecodeByParser(payload)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parsed, short); diff != "" {
			t.Errorf("%s (-parser +short):\n%s", name, diff)
		}
	}
}

// What is accepted means the same after the way back; what is refused is nil.
func FuzzDecode(f *testing.F) {
	for _, name := range []string{"pod", "warnafter", "escaped", "no-audience"} {
		seed, err := os.ReadFile(filepath.Join("testdata", "claims", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Add([]byte(`{"exp":1,"kubernetes.io":{"attestations":{"a":["b"]},"validatingwebhookconfiguration":{}}}`))
	f.Add([]byte(`{"aud":[],"jti":null}`))
	f.Add([]byte(`{"aud":["a"],"exp":12,"iat":3,"iss":"i","jti":"j","kubernetes.io":{"namespace":"n","secret":{"name":"s","uid":"u"},"serviceaccount":{"name":"a"},"warnafter":4},"nbf":5,"sub":"s"} `))
	f.Add([]byte(`{"exp":1,"kubernetes.io":{"pod":{"name":"a","name":"b"}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := token.Decode(payload)
		parsed, parserSays := token.DecodeByParser(payload)
		if diff := cmp.Diff(parsed, c); diff != "" || err != parserSays {
			t.Fatalf("the short way says %v, the parser %v (-parser +short):\n%s", err, parserSays, diff)
		}
		if err != nil {
			if c != nil {
				t.Fatal("refused claims are not nil")
			}
			return
		}
		encoded, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := token.Decode(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if diff := cmp.Diff(normal(*c), normal(*again)); diff != "" {
			t.Errorf("meaning changed (-before +after):\n%s", diff)
		}
	})
}

// normal takes an empty list and no list for the same, as every rule does.
func normal(c token.Claims) token.Claims {
	if len(c.Audience) == 0 {
		c.Audience = nil
	}
	if len(c.Kubernetes.Attestations) == 0 {
		c.Kubernetes.Attestations = nil
	}
	return c
}

// pinned compares with a file, or rewrites it.
func pinned(t *testing.T, path string, got []byte) {
	t.Helper()
	got = append(got, '\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-pinned +got):\n%s", path, diff)
	}
}
