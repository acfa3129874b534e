// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newAuthority(t testing.TB, now time.Time) Authority {
	t.Helper()
	made, err := New(now)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func requestFrom(t *testing.T, template *x509.CertificateRequest) *x509.CertificateRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func signed(t *testing.T, a Authority, r Request, now time.Time) *x509.Certificate {
	t.Helper()
	data, err := a.Sign(r, now)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestACertificateSaysWhatWasAskedForAndNoMore(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, noon)
	// The request would like to be an authority itself.
	constraint, err := asn1.Marshal(struct {
		IsCA bool
	}{true})
	if err != nil {
		t.Fatal(err)
	}
	request := requestFrom(t, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "ann", Organization: []string{"crew"}}, DNSNames: []string{"ann.example"},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: constraint}},
	})
	got := signed(t, a, Request{
		Of: request, Life: time.Hour,
		Usages: []certificatesv1.KeyUsage{"client auth", "digital signature", "client auth", "any"},
	}, noon)
	if got.IsCA || !got.BasicConstraintsValid {
		t.Error("a request made itself an authority")
	}
	if err := got.CheckSignatureFrom(a.Certificate); err != nil {
		t.Error(err)
	}
	if got.Subject.CommonName != "ann" || got.Subject.Organization[0] != "crew" || got.DNSNames[0] != "ann.example" {
		t.Errorf("the subject is %q, the names are %v", got.Subject, got.DNSNames)
	}
	if got.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("key usage %b", got.KeyUsage)
	}
	if diff := cmp.Diff([]x509.ExtKeyUsage{x509.ExtKeyUsageAny, x509.ExtKeyUsageClientAuth}, got.ExtKeyUsage); diff != "" {
		t.Errorf("extended key usage (-want +got):\n%s", diff)
	}
	other := signed(t, a, Request{Of: request, Life: time.Hour, Usages: []certificatesv1.KeyUsage{"client auth"}}, noon)
	if other.SerialNumber.Cmp(got.SerialNumber) == 0 {
		t.Error("two certificates have one serial number")
	}
}

func TestTheLifeOfACertificate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, noon)
	end := a.Certificate.NotAfter
	for name, test := range map[string]struct {
		life       time.Duration
		now        time.Time
		begin, end time.Time
	}{
		"a short one is not cut":             {time.Hour, noon, noon.Add(-backdate), noon.Add(time.Hour)},
		"a long one is as long as it says":   {24 * time.Hour, noon, noon.Add(-backdate), noon.Add(24*time.Hour - backdate)},
		"it does not outlive the authority":  {2 * Life, noon, noon.Add(-backdate), end},
		"not even at the authority's sunset": {time.Hour, end.Add(-time.Minute), end.Add(-time.Minute - backdate), end},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := signed(t, a, Request{Of: requestFrom(t, &x509.CertificateRequest{}), Life: test.life}, test.now)
			if !got.NotBefore.Equal(test.begin) || !got.NotAfter.Equal(test.end) {
				t.Errorf("from %s to %s, want from %s to %s", got.NotBefore, got.NotAfter, test.begin, test.end)
			}
		})
	}
}

func TestWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, noon)
	forged := requestFrom(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "ann"}})
	forged.RawTBSCertificateRequest = append([]byte(nil), forged.RawTBSCertificateRequest...)
	forged.RawTBSCertificateRequest[len(forged.RawTBSCertificateRequest)-1] ^= 1
	good := requestFrom(t, &x509.CertificateRequest{})
	for name, test := range map[string]struct {
		by   Authority
		r    Request
		now  time.Time
		want string
	}{
		"a request of somebody without the key": {a, Request{Of: forged}, noon, "unable to verify certificate request signature"},
		"anything after the authority's end":    {a, Request{Of: good}, a.Certificate.NotAfter, "refusing to sign a certificate that expired in the past"},
		"a usage that nobody knows":             {a, Request{Of: good, Usages: []certificatesv1.KeyUsage{"magic"}}, noon, `unrecognized usage values: "magic"`},
		"anything by one that is replaced":      {Authority{Certificate: a.Certificate}, Request{Of: good}, noon, "no key any more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := test.by.Sign(test.r, test.now); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// A roll is followed over forty years, in steps of a week: some authority signs
// at any time, what was signed stays good for its year, and only the signer and
// whoever follows it have keys.
func TestAnAuthorityIsReplacedWhileItsCertificatesStayGood(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	var roll Roll
	made := 0
	make := func(now time.Time) (Authority, error) { made++; return New(now) }
	type issued struct {
		certificate *x509.Certificate
		until       time.Time
	}
	var good []issued
	request := requestFrom(t, &x509.CertificateRequest{})
	for now := noon; now.Before(noon.Add(40 * year)); now = now.Add(7 * 24 * time.Hour) {
		before := roll
		var err error
		if roll, _, err = roll.Step(now, make); err != nil {
			t.Fatal(err)
		}
		signer, err := roll.Signer(now)
		if err != nil {
			t.Fatalf("%s: %v", now, err)
		}
		if len(before.Entries) > 0 && !strings.Contains(string(before.Bundle()), string(signer.CertificatePEM())) {
			t.Fatalf("%s: an authority signs that nobody has heard of before", now)
		}
		keys := 0
		for _, entry := range roll.Entries {
			if entry.Key != nil {
				keys++
			}
		}
		if keys > 2 {
			t.Fatalf("%s: %d authorities have keys", now, keys)
		}
		if now.Sub(noon)%(26*7*24*time.Hour) == 0 { // twice a year
			good = append(good, issued{signed(t, signer, Request{Of: request, Life: year}, now), now.Add(year - backdate)})
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(roll.Bundle())
		for _, one := range good {
			if now.Before(one.until) {
				if _, err := one.certificate.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now}); err != nil {
					t.Fatalf("%s: %v", now, err)
				}
			}
		}
	}
	if made < 5 || made > 8 {
		t.Errorf("%d authorities in forty years", made)
	}
}

func TestNothingIsDueMostOfTheTime(t *testing.T) {
	t.Parallel()
	roll, changed, err := Roll{}.Step(noon, New)
	if err != nil || !changed {
		t.Fatalf("an empty roll: changed %v, %v", changed, err)
	}
	if _, changed, err = roll.Step(noon.Add(time.Hour), New); err != nil || changed {
		t.Errorf("an hour later: changed %v, %v", changed, err)
	}
}

func TestARollSurvivesTheStore(t *testing.T) {
	t.Parallel()
	roll, _, err := Roll{}.Step(noon, New)
	if err != nil {
		t.Fatal(err)
	}
	roll, _, err = roll.Step(noon.Add(Life-renewal+time.Hour), New)
	if err != nil {
		t.Fatal(err)
	}
	roll.Entries[0].Key = nil
	data, err := roll.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(roll.Bundle()), string(got.Bundle())); diff != "" {
		t.Error(diff)
	}
	if len(got.Entries) != 2 || got.Entries[0].Key != nil || got.Entries[1].Key == nil || !got.Entries[1].SignsFrom.Equal(roll.Entries[1].SignsFrom) {
		t.Error("the entries have changed on the way")
	}
}

func FuzzDecode(f *testing.F) {
	roll, _, err := Roll{}.Step(noon, New)
	if err != nil {
		f.Fatal(err)
	}
	data, err := roll.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"authorities":[{"certificate":"x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		roll, err := Decode(data)
		if err != nil {
			if len(roll.Entries) > 0 {
				t.Error("entries in spite of an error")
			}
			return
		}
		again, err := roll.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(again); err != nil {
			t.Errorf("what was read cannot be read again: %v", err)
		}
	})
}
