// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package certificatesigning

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

// csr is one for a signer, as its controller or its approver has left it.
func csr(signer string, certificate string, conditions ...certificatesv1.CertificateSigningRequestCondition) *certificatesv1.CertificateSigningRequest {
	made := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: signer}}
	made.Status.Conditions = conditions
	if certificate != "" {
		made.Status.Certificate = []byte(certificate)
	}
	return made
}

func TestASignersRequestsAreSignedByItself(t *testing.T) {
	t.Parallel()
	const refused = `user not permitted to sign requests with signerName "example.com/a"`
	failed := certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateFailed, Status: "True"}
	labelled := csr("example.com/a", "old")
	labelled.Labels = map[string]string{"a": "b"}
	for name, test := range map[string]struct {
		may      string
		side     string
		now, old runtime.Object
		want     string
	}{
		"by the signer's name":                     {"sign example.com/a", "status", csr("example.com/a", "new"), csr("example.com/a", ""), ""},
		"by the signer's domain":                   {"sign example.com/*", "status", csr("example.com/a", "new"), csr("example.com/a", ""), ""},
		"with the right to approve":                {"approve example.com/a", "status", csr("example.com/a", "new"), csr("example.com/a", ""), refused},
		"failed without a right":                   {"", "status", csr("example.com/a", "", failed), csr("example.com/a", ""), refused},
		"taken back without a right":               {"", "status", csr("example.com/a", ""), csr("example.com/a", "old"), refused},
		"a failure taken back without a right":     {"", "status", csr("example.com/a", ""), csr("example.com/a", "", failed), refused},
		"with a right on the name that was put in": {"sign example.org/b", "status", csr("example.org/b", "new"), csr("example.com/a", ""), refused},
		"nothing of the answer is changed":         {"", "status", labelled, csr("example.com/a", "old"), ""},
		"another side":                             {"", "approval", csr("example.com/a", "new"), csr("example.com/a", ""), ""},
		"the request itself":                       {"", "", csr("example.com/a", "new"), csr("example.com/a", ""), ""},
		"no such object before":                    {"sign example.com/a", "status", csr("example.com/a", "new"), &certificatesv1.ClusterTrustBundle{}, "expected type CertificateSigningRequest, got: *v1.ClusterTrustBundle"},
		"no such object now":                       {"sign example.com/a", "status", &certificatesv1.ClusterTrustBundle{}, csr("example.com/a", ""), "expected type CertificateSigningRequest, got: *v1.ClusterTrustBundle"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := New(may(test.may)).Validate(t.Context(), admission.NewAttributesRecord(test.now, test.old,
				certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"), "", "r", certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"), test.side,
				admission.Update, nil, false, &user.DefaultInfo{Name: "ann"}), nil)
			if test.want == "" && err != nil || test.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want Forbidden with %q", err, test.want)
			}
		})
	}
}
