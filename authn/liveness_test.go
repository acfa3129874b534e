// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"errors"
	"testing"
	"time"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

const invalidated = "service account token has been invalidated"

// kinds are the objects of which a token's life depends, the account first.
var kinds = []string{"serviceaccounts", "pods", "secrets", "nodes"}

// TestATokenEndsWithItsObjects changes each object after its token has been
// found good, and asks again at once.
func TestATokenEndsWithItsObjects(t *testing.T) {
	t.Parallel()
	uid := func(object *live.Meta) { object.UID = uidOf("new") }
	uidAndDeleted := func(object *live.Meta) { object.UID, object.DeletedAt = uidOf("new"), now.Add(-time.Hour) }
	name := func(object *live.Meta) { object.Name += "x" }
	namespace := func(object *live.Meta) { object.Namespace += "x" }
	for _, kind := range kinds {
		wants := map[string]map[string]string{
			"serviceaccounts": {
				"gone":     `serviceaccounts "cart" not found`,
				"replaced": "service account UID (new) does not match claim (cart-uid)",
			},
			"pods":    {"gone": invalidated, "replaced": "pod UID (new) does not match service account pod ref claim (pod-uid)"},
			"secrets": {"gone": invalidated, "replaced": "secret UID (new) does not match service account secret ref claim (seal-uid)"},
			"nodes":   {"gone": invalidated, "replaced": "node UID (new) does not match service account node ref claim (node-uid)"},
		}[kind]
		for event, test := range map[string]struct {
			change func(*live.Meta)
			want   string
		}{
			"gone":                   {nil, wants["gone"]},
			"under another name":     {name, wants["gone"]},
			"in another namespace":   {namespace, wants["gone"]},
			"replaced":               {uid, wants["replaced"]},
			"replaced and ending":    {uidAndDeleted, wants["replaced"]},
			"changed, but the same":  {func(object *live.Meta) { object.Revision = 99 }, ""},
			"ending, but not so far": {func(object *live.Meta) { object.DeletedAt = now.Add(time.Second) }, ""},
		} {
			t.Run(kind+" "+event, func(t *testing.T) {
				t.Parallel()
				d := newDesk(t)
				compact := d.sign(t, claimsOf(kind))
				if got := d.verdict(t.Context(), compact); got != "" {
					t.Fatalf("verdict before: %q", got)
				}
				for _, w := range []*world{d.memory, d.store} {
					if test.change == nil {
						w.remove(kind)
						continue
					}
					w.change(kind, test.change)
				}
				if got := d.verdict(t.Context(), compact); got != test.want {
					t.Errorf("verdict: %q, want %q", got, test.want)
				}
			})
		}
	}
}

func TestADeletionCountsAfterItsGrace(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		deleted := invalidated
		if kind == "serviceaccounts" {
			deleted = "service account shop/cart has been deleted"
		}
		for name, test := range map[string]struct {
			grace, ago time.Duration // since the deletionTimestamp
			want       string
		}{
			"a pod's grace period runs":            {0, -30 * time.Second, ""},
			"the moment before":                    {0, -1, ""},
			"the moment itself":                    {0, 0, deleted},
			"the moment after":                     {0, 1, deleted},
			"long ago":                             {0, 1000 * time.Hour, deleted},
			"with leeway, grace period runs":       {time.Minute, -30 * time.Second, ""},
			"with leeway, the moment itself":       {time.Minute, 0, ""},
			"with leeway, the moment before ends":  {time.Minute, time.Minute - 1, ""},
			"with leeway, when it ends":            {time.Minute, time.Minute, deleted},
			"with leeway, the moment after it":     {time.Minute, time.Minute + 1, deleted},
			"with leeway, long after its end":      {time.Minute, 1000 * time.Hour, deleted},
			"with leeway, a deletion to come late": {time.Minute, -1000 * time.Hour, ""},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				d := newDesk(t, func(s *authn.ServiceAccounts) { s.DeletionGrace = test.grace })
				d.memory.change(kind, func(object *live.Meta) { object.DeletedAt = now.Add(-test.ago) })
				if got := d.verdict(t.Context(), d.sign(t, claimsOf(kind))); got != test.want {
					t.Errorf("verdict: %q, want %q", got, test.want)
				}
			})
		}
	}
}

func TestMemoryThatIsBehindAsksTheStore(t *testing.T) {
	t.Parallel()
	old := func(object *live.Meta) { object.UID = uidOf("old") }
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			compact := d.sign(t, claimsOf(kind))
			if got := d.verdict(t.Context(), compact); got != "" || d.store.asked() != 0 {
				t.Fatalf("what memory knows: %q, and the store was asked %d times", got, d.store.asked())
			}
			d.memory.change(kind, old)
			if got := d.verdict(t.Context(), compact); got != "" || d.store.asked() != 1 {
				t.Errorf("what memory does not know yet: %q, and the store was asked %d times", got, d.store.asked())
			}
			d.store.change(kind, func(object *live.Meta) { object.DeletedAt = now.Add(-time.Hour) })
			if got := d.verdict(t.Context(), compact); got == "" {
				t.Error("what the store knows to be deleted counts as alive")
			}
			d.store.remove(kind)
			if got := d.verdict(t.Context(), compact); got == "" {
				t.Error("what the store does not have counts as alive")
			}
			d.store.fail(kind, errors.New("the store is away"))
			if got := d.verdict(t.Context(), compact); got != "the store is away" {
				t.Errorf("verdict while the store is away: %q", got)
			}
		})
	}
}

func TestAnErrorOfTheStoreIsNoVerdict(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			compact := d.sign(t, claimsOf(kind))
			for _, use := range []string{"new", "known"} {
				d.memory.fail(kind, errors.New("the store is away"))
				if got := d.verdict(t.Context(), compact); got != "the store is away" {
					t.Errorf("verdict on a %s token while the store is away: %q", use, got)
				}
				d.memory.fail(kind, nil)
				if got := d.verdict(t.Context(), compact); got != "" {
					t.Errorf("verdict on a %s token after the store is back: %q", use, got)
				}
			}
		})
	}
}

func TestAPodsTokenOutlivesTheNode(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.memory.remove("nodes")
	d.memory.remove("secrets")
	if got := d.verdict(t.Context(), d.sign(t, claimsOf("pods"))); got != "" {
		t.Errorf("verdict: %q", got)
	}
	if got := d.verdict(t.Context(), d.sign(t, claimsOf("nodes"))); got != invalidated {
		t.Errorf("verdict on a node's token: %q", got)
	}
}

// TestEveryObjectThatATokenNamesMustLive is of tokens that Muster does not
// issue; another holder of a key might.
func TestEveryObjectThatATokenNamesMustLive(t *testing.T) {
	t.Parallel()
	both := func(c *token.Claims) { c.Kubernetes.Secret = &token.Ref{Name: "seal", UID: "seal-uid"} }
	for _, gone := range []string{"pods", "secrets"} {
		d := newDesk(t)
		compact := d.sign(t, claimsOf("pods"), both)
		if got := d.verdict(t.Context(), compact); got != "" {
			t.Fatalf("with both: %q", got)
		}
		d.memory.remove(gone)
		if got := d.verdict(t.Context(), compact); got != invalidated {
			t.Errorf("without %s: %q", gone, got)
		}
	}
	d := newDesk(t)
	compact := d.sign(t, claimsOf("nodes"), both)
	d.memory.remove("nodes")
	if got := d.verdict(t.Context(), compact); got != invalidated {
		t.Errorf("secret and node, without the node: %q", got)
	}
}

func TestTokensOfWebhooksAreRefused(t *testing.T) {
	t.Parallel()
	ref := &token.Ref{Name: "w", UID: "w-uid"}
	for name, change := range map[string]func(*token.Claims){
		"validating": func(c *token.Claims) { c.Kubernetes.ValidatingWebhookConfiguration = ref },
		"mutating":   func(c *token.Claims) { c.Kubernetes.MutatingWebhookConfiguration = ref },
		"attested": func(c *token.Claims) {
			c.Kubernetes.MutatingWebhookConfiguration = ref
			c.Kubernetes.Attestations = map[string][]string{"authentication.kubernetes.io/admissionReviewAPIGroups": {"*"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			want := `feature gate "APIServerWebhookAuthenticationToken" is disabled, but token is webhook bound`
			if got := d.verdict(t.Context(), d.sign(t, grant().Claims(), change)); got != want {
				t.Errorf("verdict: %q, want %q", got, want)
			}
		})
	}
}

func TestATokenWithoutUIDsIsNobodys(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	noAccount := func(c *token.Claims) { c.Kubernetes.ServiceAccount.UID = "" }
	if got, want := d.verdict(t.Context(), d.sign(t, grant().Claims(), noAccount)), "service account UID (cart-uid) does not match claim ()"; got != want {
		t.Errorf("verdict: %q, want %q", got, want)
	}
	noPod := func(c *token.Claims) { c.Kubernetes.Pod = &token.Ref{Name: "cart-0"} }
	if got, want := d.verdict(t.Context(), d.sign(t, grant().Claims(), noPod)), "pod UID (pod-uid) does not match service account pod ref claim ()"; got != want {
		t.Errorf("verdict: %q, want %q", got, want)
	}
	nothing := func(c *token.Claims) { c.Kubernetes = token.Kubernetes{} }
	if got, want := d.verdict(t.Context(), d.sign(t, grant().Claims(), nothing)), `serviceaccounts "" not found`; got != want {
		t.Errorf("verdict: %q, want %q", got, want)
	}
}
