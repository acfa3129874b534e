// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package clustertrustbundleattest

import (
	"context"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// may allows one thing, "verb signer".
func may(what string) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if a.GetVerb()+" "+a.GetName() == what {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	})
}

// bundle is one of example.com/a, changed.
func bundle(change func(*certificatesv1.ClusterTrustBundle)) *certificatesv1.ClusterTrustBundle {
	made := &certificatesv1.ClusterTrustBundle{Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: "example.com/a", TrustBundle: "one"}}
	change(made)
	return made
}

func TestASignersBundleIsWrittenByWhoeverSpeaksForIt(t *testing.T) {
	t.Parallel()
	old := bundle(func(*certificatesv1.ClusterTrustBundle) {})
	other := bundle(func(b *certificatesv1.ClusterTrustBundle) { b.Spec.TrustBundle = "two" })
	labelled := bundle(func(b *certificatesv1.ClusterTrustBundle) { b.Labels = map[string]string{"a": "b"} })
	collected := bundle(func(b *certificatesv1.ClusterTrustBundle) {
		b.Finalizers, b.OwnerReferences = []string{"example.com/f"}, []metav1.OwnerReference{{Name: "o"}}
	})
	const refused = `user not permitted to attest for signerName "example.com/a"`
	for name, test := range map[string]struct {
		may      string
		now, old runtime.Object
		want     string
	}{
		"made, by the signer's name":       {"attest example.com/a", old, nil, ""},
		"made, by the signer's domain":     {"attest example.com/*", old, nil, ""},
		"made with the right to sign":      {"sign example.com/a", old, nil, refused},
		"made for no signer":               {"", &certificatesv1.ClusterTrustBundle{}, nil, ""},
		"changed":                          {"attest example.com/a", other, old, ""},
		"changed without the right":        {"", other, old, refused},
		"labelled without the right":       {"", labelled, old, refused},
		"what garbage collection writes":   {"", collected, old, ""},
		"made with what collection writes": {"", collected, nil, refused},
		"an object that is no bundle":      {"attest example.com/a", &certificatesv1.CertificateSigningRequest{}, nil, "expected type ClusterTrustBundle, got: *v1.CertificateSigningRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			operation := admission.Create
			if test.old != nil {
				operation = admission.Update
			}
			err := New(may(test.may)).Validate(t.Context(), admission.NewAttributesRecord(test.now, test.old,
				certificatesv1.SchemeGroupVersion.WithKind("ClusterTrustBundle"), "", "b", certificatesv1.SchemeGroupVersion.WithResource("clustertrustbundles"), "",
				operation, nil, false, &user.DefaultInfo{Name: "ann"}), nil)
			if test.want == "" && err != nil || test.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want Forbidden with %q", err, test.want)
			}
		})
	}
}

func TestOtherKindsAreNotJudged(t *testing.T) {
	t.Parallel()
	err := New(may("")).Validate(t.Context(), admission.NewAttributesRecord(bundle(func(*certificatesv1.ClusterTrustBundle) {}), nil,
		certificatesv1.SchemeGroupVersion.WithKind("ClusterTrustBundle"), "", "b", certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"), "",
		admission.Create, nil, false, &user.DefaultInfo{Name: "ann"}), nil)
	if err != nil {
		t.Error(err)
	}
}
