// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package mustertest_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/mustertest"
)

// Whatever is sent, the answer is the caller's fault or a success, and never the server's.
func TestOddBodiesOfCertificateRequestsAreTheCallersFault(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	s.Namespace("dev")
	client := s.Client().CertificatesV1().RESTClient()
	csr := newApplicant(t, named("ann")).csr("ann", "example.com/badges", certificatesv1.UsageClientAuth)
	createCSR(t, s.Client(), csr)
	bundle := &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "roots"}, Spec: certificatesv1.ClusterTrustBundleSpec{TrustBundle: anchors(t, 1, true)}}
	request := podRequest(t, p256(t), func(*certificatesv1.PodCertificateRequestSpec) {})
	random := rand.New(rand.NewPCG(1, 2))
	for _, target := range []struct {
		verb, path string
		object     any
	}{
		{"POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests", csr},
		{"PUT", "/apis/certificates.k8s.io/v1/certificatesigningrequests/ann/approval", csr},
		{"PUT", "/apis/certificates.k8s.io/v1/certificatesigningrequests/ann/status", csr},
		{"POST", "/apis/certificates.k8s.io/v1/clustertrustbundles", bundle},
		{"POST", "/apis/certificates.k8s.io/v1/namespaces/dev/podcertificaterequests", request},
	} {
		body, err := json.Marshal(target.object)
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			odd := append([]byte(nil), body...)
			for range 1 + random.IntN(4) {
				odd[random.IntN(len(odd))] = byte(random.IntN(256))
			}
			if random.IntN(4) == 0 {
				odd = odd[:random.IntN(len(odd))]
			}
			err := client.Verb(target.verb).AbsPath(target.path).SetHeader("Content-Type", "application/json").Body(odd).Do(t.Context()).Error()
			var status apierrors.APIStatus
			if errors.As(err, &status) && status.Status().Code < 500 || err == nil {
				continue
			}
			t.Fatalf("%s %s: %v of\n%s", target.verb, target.path, err, odd)
		}
	}
}
