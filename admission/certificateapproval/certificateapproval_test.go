// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package certificateapproval

import (
	"context"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

func TestASignersRequestsAreApprovedByItsOwnPeople(t *testing.T) {
	t.Parallel()
	request := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: "example.com/a"}}
	renamed := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: "example.org/b"}}
	const refused = `user not permitted to approve requests with signerName "example.com/a"`
	for name, test := range map[string]struct {
		may      string
		resource string
		side     string
		now, old runtime.Object
		want     string
	}{
		"by the signer's name":   {"approve example.com/a", "certificatesigningrequests", "approval", request, request, ""},
		"by the signer's domain": {"approve example.com/*", "certificatesigningrequests", "approval", request, request, ""},
		"for another signer":     {"approve example.com/b", "certificatesigningrequests", "approval", request, request, refused},
		"with the right to sign": {"sign example.com/a", "certificatesigningrequests", "approval", request, request, refused},
		// The registry does not let a signer be changed; the plugin does not rely on it.
		"with a right on the name that was put in": {"approve example.org/b", "certificatesigningrequests", "approval", renamed, request, refused},
		"another side":                 {"", "certificatesigningrequests", "status", request, request, ""},
		"the request itself":           {"", "certificatesigningrequests", "", request, request, ""},
		"another resource":             {"", "podcertificaterequests", "approval", request, request, ""},
		"an object that is no request": {"approve example.com/a", "certificatesigningrequests", "approval", request, &certificatesv1.ClusterTrustBundle{}, "expected type CertificateSigningRequest, got: *v1.ClusterTrustBundle"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := New(may(test.may)).Validate(t.Context(), admission.NewAttributesRecord(test.now, test.old,
				certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"), "", "r", certificatesv1.SchemeGroupVersion.WithResource(test.resource), test.side,
				admission.Update, nil, false, &user.DefaultInfo{Name: "ann"}), nil)
			if test.want == "" && err != nil || test.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want Forbidden with %q", err, test.want)
			}
		})
	}
}

func TestOnlyChangesAreJudged(t *testing.T) {
	t.Parallel()
	plugin := New(may(""))
	for operation, want := range map[admission.Operation]bool{admission.Create: false, admission.Update: true, admission.Delete: false, admission.Connect: false} {
		if plugin.Handles(operation) != want {
			t.Errorf("%s is judged: %t", operation, !want)
		}
	}
}
