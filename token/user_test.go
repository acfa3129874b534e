// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/token"
)

func TestClaimsNameTheirUser(t *testing.T) {
	t.Parallel()
	const (
		credential = "authentication.kubernetes.io/credential-id"
		podName    = "authentication.kubernetes.io/pod-name"
		podUID     = "authentication.kubernetes.io/pod-uid"
		nodeName   = "authentication.kubernetes.io/node-name"
		nodeUID    = "authentication.kubernetes.io/node-uid"
	)
	jti := []string{"JTI=" + grant().ID}
	pod := token.Ref{Name: "cart-0", UID: "pod-uid"}
	tests := map[string]struct {
		change func(*token.Grant)
		extra  map[string][]string
	}{
		"pod on a node": {
			func(*token.Grant) {},
			map[string][]string{
				credential: jti, podName: {"cart-0"}, podUID: {"pod-uid"}, nodeName: {"n1"}, nodeUID: {"node-uid"},
			},
		},
		"pod on no node": {
			func(g *token.Grant) { g.Bound = token.ToPod(pod, nil) },
			map[string][]string{credential: jti, podName: {"cart-0"}, podUID: {"pod-uid"}},
		},
		"pod on a node that is gone": {
			func(g *token.Grant) { g.Bound = token.ToPod(pod, &token.Ref{Name: "n1"}) },
			map[string][]string{credential: jti, podName: {"cart-0"}, podUID: {"pod-uid"}, nodeName: {"n1"}},
		},
		"node": {
			func(g *token.Grant) { g.Bound = token.ToNode(token.Ref{Name: "n2", UID: "u2"}) },
			map[string][]string{credential: jti, nodeName: {"n2"}, nodeUID: {"u2"}},
		},
		"secret": {
			func(g *token.Grant) { g.Bound = token.ToSecret(token.Ref{Name: "s", UID: "u"}) },
			map[string][]string{credential: jti},
		},
		"no id": {
			func(g *token.Grant) { g.Bound, g.ID = token.Binding{}, "" },
			nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := grant()
			test.change(&g)
			c := g.Claims()
			want := user.Info(&user.DefaultInfo{
				Name:   "system:serviceaccount:shop:cart",
				UID:    "sa-uid",
				Groups: []string{"system:serviceaccounts", "system:serviceaccounts:shop"},
				Extra:  test.extra,
			})
			if diff := cmp.Diff(want, c.User()); diff != "" {
				t.Errorf("user differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.extra, c.Extra(c.CredentialID())); diff != "" {
				t.Errorf("extra differs (-want +got):\n%s", diff)
			}
			if c.Subject != want.GetName() {
				t.Errorf("subject %q, username %q", c.Subject, want.GetName())
			}
		})
	}
}

func TestClaimsBoundToAWebhookNameIt(t *testing.T) {
	t.Parallel()
	c, err := token.Decode([]byte(`{"kubernetes.io":{
		"attestations":{"admissionReviewAPIGroups":["apps"]},
		"validatingwebhookconfiguration":{"name":"v","uid":"1"},
		"mutatingwebhookconfiguration":{"name":"m","uid":"2"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"authentication.kubernetes.io/validatingwebhookconfiguration-name":  {"v"},
		"authentication.kubernetes.io/validatingwebhookconfiguration-uid":   {"1"},
		"authentication.kubernetes.io/mutatingwebhookconfiguration-name":    {"m"},
		"authentication.kubernetes.io/mutatingwebhookconfiguration-uid":     {"2"},
		"attestation.authentication.kubernetes.io/admissionReviewAPIGroups": {"apps"},
	}
	if diff := cmp.Diff(want, c.User().GetExtra()); diff != "" {
		t.Errorf("extra differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, c.Extra("")); diff != "" {
		t.Errorf("extra by itself differs (-want +got):\n%s", diff)
	}
}
