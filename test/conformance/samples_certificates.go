// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/pem"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What somebody asks to have signed, and an authority: the key of both is lost.
const (
	sampleRequest = `-----BEGIN CERTIFICATE REQUEST-----
MIHbMIGCAgEAMCAxDzANBgNVBAMMBnNhbXBsZTENMAsGA1UECgwEY3JldzBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABI+RD/e+pK03mMMfjtPDWpWgTKoVoRi3wU4z
9aAjpamJT8EyOUf+KbemE8GeQFLHDGFyDDFDCdvcxBq7TT6Ez/+gADAKBggqhkjO
PQQDAgNIADBFAiEA4+tIL0y9wxTJHcJ9qSxZ6YobsQ2nsduZgXfnjH43yHMCIFz+
m4N9uv20KBpO6fQqFabmkYlER/ozuJf8tWuccotg
-----END CERTIFICATE REQUEST-----
`
	sampleAuthority = `-----BEGIN CERTIFICATE-----
MIIBeDCCAR+gAwIBAgIUD0lY6NEtEMT9gNuuzjP+WkTkSJMwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGc2FtcGxlMCAXDTI2MTEyNTA3MDc0NFoYDzIxMjYxMTAxMDcw
NzQ0WjARMQ8wDQYDVQQDDAZzYW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASPkQ/3vqStN5jDH47Tw1qVoEyqFaEYt8FOM/WgI6WpiU/BMjlH/im3phPBnkBS
xwxhcgwxQwnb3MQau00+hM//o1MwUTAdBgNVHQ4EFgQUwMQUw9SnqXLRNkbznjWM
g4zyoz4wHwYDVR0jBBgwFoAUwMQUw9SnqXLRNkbznjWMg4zyoz4wDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiANnhSjYgtJvbnkVdZNRRoelIz0Y9Zi
1+TBqwz6uTMcAgIgbFMDcW9jV0JzBR+VtQow44MO/CqQEHNCBp0vbI6QoYE=
-----END CERTIFICATE-----
`
)

// certificateSamples are those of the certificates API. Their signer is nobody.
func certificateSamples(own metav1.ObjectMeta) []Sample {
	version := certificatesv1.SchemeGroupVersion
	request, _ := pem.Decode([]byte(sampleRequest))
	return []Sample{
		{Resource: version.WithResource("certificatesigningrequests"), Object: &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: []byte(sampleRequest), SignerName: "conformance.example/nobody", Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		}}},
		{Resource: version.WithResource("clustertrustbundles"), Object: &certificatesv1.ClusterTrustBundle{Spec: certificatesv1.ClusterTrustBundleSpec{TrustBundle: sampleAuthority}}},
		{Resource: version.WithResource("podcertificaterequests"), Object: &certificatesv1.PodCertificateRequest{ObjectMeta: own, Spec: certificatesv1.PodCertificateRequestSpec{
			SignerName: "conformance.example/nobody", StubPKCS10Request: request.Bytes,
			PodName: "p", PodUID: "1", ServiceAccountName: "default", ServiceAccountUID: "2", NodeName: "n", NodeUID: "3",
		}}},
	}
}
