// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package certificatesubjectrestriction

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

func TestNoRequestMakesAMaster(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(signer string, groups ...string) runtime.Object {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "ann", Organization: groups}}, key)
		if err != nil {
			t.Fatal(err)
		}
		request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		return &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: signer, Request: request}}
	}
	broken := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: clientSigner, Request: []byte("?")}}
	const refused = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
	for name, test := range map[string]struct {
		side string
		made runtime.Object
		want string
	}{
		"a group of the crew":           {"", ask(clientSigner, "crew"), ""},
		"no group":                      {"", ask(clientSigner), ""},
		"system:masters":                {"", ask(clientSigner, "system:masters"), refused},
		"system:masters among others":   {"", ask(clientSigner, "crew", "system:masters"), refused},
		"system:masters elsewhere":      {"", ask("example.com/a", "system:masters"), ""},
		"what is no request":            {"", broken, "failed to parse CSR: PEM block type must be CERTIFICATE REQUEST"},
		"an object that is no request":  {"", &certificatesv1.ClusterTrustBundle{}, "expected type CertificateSigningRequest, got: *v1.ClusterTrustBundle"},
		"a side, which has no creation": {"status", broken, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := New().Validate(t.Context(), admission.NewAttributesRecord(test.made, nil,
				certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"), "", "r", certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"), test.side,
				admission.Create, nil, false, &user.DefaultInfo{Name: "ann", Groups: []string{user.SystemPrivilegedGroup}}), nil)
			if test.want == "" && err != nil || test.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want Forbidden with %q", err, test.want)
			}
		})
	}
}

const clientSigner = certificatesv1.KubeAPIServerClientSignerName
