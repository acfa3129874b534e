// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
)

// lasting is a certificate that is good for so long.
func lasting(t *testing.T, d time.Duration) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: from.Add(d)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestIssuedCertificatesAreCountedByWhetherTheyLastAsWanted(t *testing.T) {
	t.Parallel()
	const client = "kubernetes.io/kube-apiserver-client"
	hour := lasting(t, time.Hour)
	for name, test := range map[string]struct {
		signer             string
		seconds            *int32
		before, after      []byte
		dryRun, refused    bool
		requested, honored float64
		label              string
	}{
		"as wanted":                    {signer: client, seconds: new(int32(3600)), after: hour, requested: 1, honored: 1, label: client},
		"of another domain":            {signer: "example.com/a", seconds: new(int32(3600)), after: hour, requested: 1, honored: 1, label: "other"},
		"longer by what is dated back": {signer: client, seconds: new(int32(3600 - 479)), after: hour, requested: 1, honored: 0, label: client},
		"longer by a little":           {signer: client, seconds: new(int32(3600 - 300)), after: hour, requested: 1, honored: 1, label: client},
		"shorter":                      {signer: client, seconds: new(int32(86400)), after: hour, requested: 1, honored: 0, label: client},
		"no duration wanted":           {signer: client, after: hour, label: client},
		"not yet issued":               {signer: client, seconds: new(int32(3600)), label: client},
		"issued before":                {signer: client, seconds: new(int32(3600)), before: hour, after: hour, label: client},
		"a dry run":                    {signer: client, seconds: new(int32(3600)), after: hour, dryRun: true, label: client},
		"not stored":                   {signer: client, seconds: new(int32(3600)), after: hour, refused: true, label: client},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := NewCertificateMetrics()
			if err := m.Register(metrics.NewKubeRegistry()); err != nil {
				t.Fatal(err)
			}
			old := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: test.signer, ExpirationSeconds: test.seconds}}
			old.Status.Certificate = test.before
			updated := old.DeepCopy()
			updated.Status.Certificate = test.after
			options := &metav1.UpdateOptions{}
			if test.dryRun {
				options.DryRun = []string{metav1.DryRunAll}
			}
			finish, err := m.beginUpdate(t.Context(), updated, old, options)
			if err != nil {
				t.Fatal(err)
			}
			finish(t.Context(), !test.refused)
			for what, counted := range map[string]struct {
				by   *metrics.CounterVec
				want float64
			}{"requested": {m.requested, test.requested}, "honored": {m.honored, test.honored}} {
				got, err := testutil.GetCounterMetricValue(counted.by.WithLabelValues(test.label))
				if err != nil || got != counted.want {
					t.Errorf("%s: %v, want %v (%v)", what, got, counted.want, err)
				}
			}
		})
	}
}
