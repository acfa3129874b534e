// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package mustertest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/muster-identity/muster/mustertest"
)

type pcrType = certificatesv1.PodCertificateRequest

func podRequest(t *testing.T, key any, change func(*certificatesv1.PodCertificateRequestSpec)) *pcrType {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	made := &pcrType{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", GenerateName: "req-"},
		Spec: certificatesv1.PodCertificateRequestSpec{
			SignerName: "example.com/mesh", PodName: "web", PodUID: "p", ServiceAccountName: "web", ServiceAccountUID: "s",
			NodeName: "n1", NodeUID: "n", StubPKCS10Request: der,
		},
	}
	change(&made.Spec)
	return made
}

func p256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// answer is what a signer writes who signs for a key.
func answer(t *testing.T, key *ecdsa.PrivateKey, begin time.Time, life time.Duration) certificatesv1.PodCertificateRequestStatus {
	t.Helper()
	begin = begin.Truncate(time.Second)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "web"}, NotBefore: begin, NotAfter: begin.Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return certificatesv1.PodCertificateRequestStatus{
		Conditions:       []metav1.Condition{{Type: "Issued", Status: metav1.ConditionTrue, Reason: "Test", LastTransitionTime: metav1.Now()}},
		CertificateChain: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		NotBefore:        &metav1.Time{Time: begin},
		NotAfter:         &metav1.Time{Time: begin.Add(life)},
		BeginRefreshAt:   &metav1.Time{Time: begin.Add(life / 2)},
	}
}

func TestASignerAnswersForACertificateOfAPodOnce(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	s.Namespace("dev")
	admin := s.Client().CertificatesV1().PodCertificateRequests("dev")
	key := p256(t)
	create := func() *pcrType {
		t.Helper()
		made, err := admin.Create(t.Context(), podRequest(t, key, func(*certificatesv1.PodCertificateRequestSpec) {}), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	made := create()
	if got := made.Spec.MaxExpirationSeconds; got == nil || *got != 86400 {
		t.Errorf("the longest life is %v by itself", got)
	}
	for node, want := range map[string]bool{string(made.Spec.NodeName): true, "another": false} {
		if got := nodeReads(t, s, node, made.Name); got != want {
			t.Errorf("the node %s may read the request: %v, want %v", node, got, want)
		}
	}
	changed := made.DeepCopy()
	changed.Spec.PodName = "db"
	_, err := admin.Update(t.Context(), changed, metav1.UpdateOptions{})
	wantInvalid(t, err, "spec", "field is immutable")

	// The right to update the status is not that to sign.
	grant(t, s, "mesh", "mesh-signer", rule("get update", "podcertificaterequests", "podcertificaterequests/status"))
	signer := as(t, s, "mesh-signer").CertificatesV1().PodCertificateRequests("dev")
	made.Status = answer(t, key, time.Now(), 2*time.Hour)
	_, err = signer.UpdateStatus(t.Context(), made, metav1.UpdateOptions{})
	wantInvalid(t, err, "spec.signerName", `User "mesh-signer" is not permitted to "sign" for signer "example.com/mesh"`)
	grant(t, s, "mesh-signs", "mesh-signer", onSigner("sign", "example.com/*"))
	issued, err := signer.UpdateStatus(t.Context(), made, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	issued.Status.Conditions[0].Reason = "Again"
	_, err = signer.UpdateStatus(t.Context(), issued, metav1.UpdateOptions{})
	wantInvalid(t, err, "status", "immutable after PodCertificateRequest is issued, denied, or failed")

	pending := create()
	for name, test := range map[string]struct {
		change        func(*certificatesv1.PodCertificateRequestStatus)
		field, reason string
	}{
		"of another key": {func(s *certificatesv1.PodCertificateRequestStatus) { *s = answer(t, p256(t), time.Now(), 2*time.Hour) }, "status.certificateChain", "leaf certificate was not issued to the requested public key"},
		"of yesterday": {func(s *certificatesv1.PodCertificateRequestStatus) {
			*s = answer(t, key, time.Now().Add(-24*time.Hour), 2*time.Hour)
		}, "status.notBefore", "must be set to within 5 minutes of kube-apiserver's current time"},
		"too short":     {func(s *certificatesv1.PodCertificateRequestStatus) { *s = answer(t, key, time.Now(), 59*time.Minute) }, "status.certificateChain", "leaf certificate lifetime must be >= 1 hour"},
		"too long":      {func(s *certificatesv1.PodCertificateRequestStatus) { *s = answer(t, key, time.Now(), 25*time.Hour) }, "status.certificateChain", "leaf certificate lifetime must be <= spec.maxExpirationSeconds (86400)"},
		"another begin": {func(s *certificatesv1.PodCertificateRequestStatus) { s.NotBefore.Time = s.NotBefore.Add(time.Second) }, "status.notBefore", "must be set to the NotBefore time encoded in the leaf certificate"},
		"another end":   {func(s *certificatesv1.PodCertificateRequestStatus) { s.NotAfter.Time = s.NotAfter.Add(time.Second) }, "status.notAfter", "must be set to the NotAfter time encoded in the leaf certificate"},
		"no times":      {func(s *certificatesv1.PodCertificateRequestStatus) { s.BeginRefreshAt = nil }, "status.beginRefreshAt", "must be present and in the range [notbefore+10min, notafter-10min]"},
		"refresh early": {func(s *certificatesv1.PodCertificateRequestStatus) { s.BeginRefreshAt = s.NotBefore }, "status.beginRefreshAt", "must be at least 10 minutes after status.notBefore"},
		"refresh late":  {func(s *certificatesv1.PodCertificateRequestStatus) { s.BeginRefreshAt = s.NotAfter }, "status.beginRefreshAt", "must be at least 10 minutes before status.notAfter"},
		"no chain":      {func(s *certificatesv1.PodCertificateRequestStatus) { s.CertificateChain = "" }, "status.certificateChain", "issued certificate chain must contain at least one certificate"},
		"a key in it": {func(s *certificatesv1.PodCertificateRequestStatus) {
			s.CertificateChain += string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}))
		}, "status.certificateChain", "issued certificate chain must consist entirely of CERTFICATE PEM blocks"},
		"denied as well": {func(s *certificatesv1.PodCertificateRequestStatus) {
			s.Conditions = append(s.Conditions, metav1.Condition{Type: "Denied", Status: metav1.ConditionTrue, Reason: "Test", LastTransitionTime: metav1.Now()})
		}, "status.conditions.[1].type", `There may be at most one condition with type "Issued", "Denied", or "Failed"`},
		"not true":       {func(s *certificatesv1.PodCertificateRequestStatus) { s.Conditions[0].Status = metav1.ConditionFalse }, "status.conditions.[0].status", `Unsupported value: "False"`},
		"another state":  {func(s *certificatesv1.PodCertificateRequestStatus) { s.Conditions[0].Type = "Lost" }, "status.conditions.[0].type", `Unsupported value: "Lost"`},
		"no state":       {func(s *certificatesv1.PodCertificateRequestStatus) { s.Conditions = nil }, "status", "status is immutable unless transitioning to"},
		"denied, signed": {func(s *certificatesv1.PodCertificateRequestStatus) { s.Conditions[0].Type = "Denied" }, "status", "non-condition status fields must be empty when denying or failing"},
	} {
		wrong := pending.DeepCopy()
		wrong.Status = answer(t, key, time.Now(), 2*time.Hour)
		test.change(&wrong.Status)
		t.Run(name, func(t *testing.T) {
			_, err := signer.UpdateStatus(t.Context(), wrong, metav1.UpdateOptions{})
			wantInvalid(t, err, test.field, test.reason)
		})
	}
	pending.Status.Conditions = []metav1.Condition{{Type: "Denied", Status: metav1.ConditionTrue, Reason: "UnsupportedKeyType", LastTransitionTime: metav1.Now()}}
	if _, err := signer.UpdateStatus(t.Context(), pending, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
	only, err := admin.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=n1,spec.podName=web,spec.signerName=example.com/mesh"})
	if err != nil || len(only.Items) != 2 {
		t.Errorf("%d requests of the node (%v)", len(only.Items), err)
	}
}

func TestRequestsForPodsThatAreNotTakenSayWhy(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	s.Namespace("dev")
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	type spec = certificatesv1.PodCertificateRequestSpec
	for name, test := range map[string]struct {
		key           any
		change        func(*spec)
		field, reason string
	}{
		"too short":        {p256(t), func(s *spec) { s.MaxExpirationSeconds = new(int32(3599)) }, "spec.maxExpirationSeconds", "must be in the range [3600, 7862400]"},
		"too long":         {p256(t), func(s *spec) { s.MaxExpirationSeconds = new(int32(7862401)) }, "spec.maxExpirationSeconds", "must be in the range [3600, 7862400]"},
		"longer than ours": {p256(t), func(s *spec) { s.SignerName, s.MaxExpirationSeconds = "kubernetes.io/x", new(int32(86401)) }, "spec.maxExpirationSeconds", "must be in the range [3600, 86400]"},
		"no key":           {p256(t), func(s *spec) { s.StubPKCS10Request = nil }, "spec", "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set"},
		"no request":       {p256(t), func(s *spec) { s.StubPKCS10Request = []byte("x") }, "spec.stubPKCS10Request", "must be a valid PKCS#10 CSR"},
		"a huge request":   {p256(t), func(s *spec) { s.StubPKCS10Request = make([]byte, 10<<10+1) }, "spec.stubPKCS10Request", "Too long: may not be more than 10240 bytes"},
		"a weak curve":     {small, func(*spec) {}, "spec.stubPKCS10Request", "elliptic public keys must use curve P256, P384, or P521"},
		"another's key":    {p256(t), func(s *spec) { s.StubPKCS10Request[len(s.StubPKCS10Request)-1] ^= 1 }, "spec.stubPKCS10Request", "invalid signature"},
		"no pod":           {p256(t), func(s *spec) { s.PodName, s.PodUID = "", "" }, "spec.podUID", "must not be empty"},
		"a long uid":       {p256(t), func(s *spec) { s.NodeUID = "x" }, "", ""},
		"an odd account":   {p256(t), func(s *spec) { s.ServiceAccountName = "A b" }, "spec.serviceAccountName", "a lowercase RFC 1123 subdomain"},
		"an odd signer":    {p256(t), func(s *spec) { s.SignerName = "mesh" }, "spec.signerName", "must be a fully qualified domain and path"},
		"an odd note":      {p256(t), func(s *spec) { s.UnverifiedUserAnnotations = map[string]string{"x": "y"} }, "spec.unverifiedUserAnnotations", "must be a domain-prefixed key"},
	} {
		t.Run(name, func(t *testing.T) {
			request := podRequest(t, test.key, test.change)
			if name == "a long uid" {
				for range 7 {
					request.Spec.NodeUID += request.Spec.NodeUID
				}
				request.Spec.NodeUID += "x"
				test.field, test.reason = "spec.nodeUID", "Too long: may not be more than 128 bytes"
			}
			_, err := s.Client().CertificatesV1().PodCertificateRequests("dev").Create(t.Context(), request, metav1.CreateOptions{})
			wantInvalid(t, err, test.field, test.reason)
		})
	}
}

// anchors are certificates of that many authorities.
func anchors(t *testing.T, n int, ca bool) string {
	t.Helper()
	var all strings.Builder
	for range n {
		key := p256(t)
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return all.String()
}

func TestTrustBundlesBelongToWhoeverAttestsForTheirSigner(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	bundle := func(name, signer, text string) *certificatesv1.ClusterTrustBundle {
		return &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: text}}
	}
	good := anchors(t, 2, true)
	grant(t, s, "writes", "clerk", rule("create delete get update", "clustertrustbundles"))
	clerk := as(t, s, "clerk").CertificatesV1().ClusterTrustBundles()
	_, err := clerk.Create(t.Context(), bundle("example.com:mesh:roots", "example.com/mesh", good), metav1.CreateOptions{})
	wantForbidden(t, err, `user not permitted to attest for signerName "example.com/mesh"`)
	if _, err = clerk.Create(t.Context(), bundle("roots", "", good), metav1.CreateOptions{}); err != nil {
		t.Errorf("a bundle of no signer: %v", err)
	}
	grant(t, s, "attests", "clerk", onSigner("attest", "example.com/mesh"))
	made, err := clerk.Create(t.Context(), bundle("example.com:mesh:roots", "example.com/mesh", good), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	grant(t, s, "others", "collector", rule("update", "clustertrustbundles"))
	collector := as(t, s, "collector").CertificatesV1().ClusterTrustBundles()
	collected := made.DeepCopy()
	collected.Finalizers = []string{"example.com/held"}
	if made, err = collector.Update(t.Context(), collected, metav1.UpdateOptions{}); err != nil {
		t.Errorf("garbage collection is stopped: %v", err)
	}
	made.Spec.TrustBundle = anchors(t, 1, true)
	_, err = collector.Update(t.Context(), made, metav1.UpdateOptions{})
	wantForbidden(t, err, "user not permitted to attest")
	made.Spec.SignerName = ""
	_, err = clerk.Update(t.Context(), made, metav1.UpdateOptions{})
	wantInvalid(t, err, "spec.signerName", "field is immutable")

	admin := s.Client().CertificatesV1().ClusterTrustBundles()
	for name, test := range map[string]struct {
		bundle        *certificatesv1.ClusterTrustBundle
		field, reason string
	}{
		"another's name":   {bundle("roots-2", "example.com/mesh", good), "metadata.name", "ClusterTrustBundle for signerName example.com/mesh must be named with prefix example.com:mesh:"},
		"a signer's name":  {bundle("example.com:mesh:x", "", good), "metadata.name", `ClusterTrustBundle without signer name must not have ":" in its name`},
		"an odd name":      {bundle("example.com:mesh:A_b", "example.com/mesh", good), "metadata.name", "a lowercase RFC 1123 subdomain"},
		"nothing":          {bundle("x", "", ""), "spec.trustBundle", "at least one trust anchor must be provided"},
		"a key":            {bundle("x", "", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}))), "spec.trustBundle", "entry 0 has bad block type: PRIVATE KEY"},
		"headers":          {bundle("x", "", strings.Replace(good, "-----\n", "-----\nA: b\n\n", 1)), "spec.trustBundle", "entry 0 has PEM block headers"},
		"not a CA":         {bundle("x", "", good+anchors(t, 1, false)), "spec.trustBundle", "entry 2 does not have the CA bit set"},
		"one twice":        {bundle("x", "", good+good), "spec.trustBundle", "duplicate trust anchor (indices [0 2])"},
		"not X.509":        {bundle("x", "", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))), "spec.trustBundle", "entry 0 does not parse as X.509"},
		"more than it may": {bundle("x", "", strings.Repeat("x", 1<<20+1)), "spec.trustBundle", "Too long: may not be more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := admin.Create(t.Context(), test.bundle, metav1.CreateOptions{})
			wantInvalid(t, err, test.field, test.reason)
		})
	}
}

// Pods find by what they know this server: its own bundle is there, and comes back.
func TestTheServersOwnTrustBundleIsPublished(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	s.Namespace("dev")
	pod := clientOf(t, s.ServiceAccount("dev", "reporter")).CertificatesV1().ClusterTrustBundles()
	only := metav1.ListOptions{FieldSelector: "spec.signerName=kubernetes.io/kube-apiserver-serving"}
	find := func(wanted func(*certificatesv1.ClusterTrustBundle) bool) *certificatesv1.ClusterTrustBundle {
		t.Helper()
		var bundle *certificatesv1.ClusterTrustBundle
		err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			found, err := pod.List(ctx, only)
			if err != nil || len(found.Items) != 1 {
				return false, err
			}
			bundle = &found.Items[0]
			return wanted(bundle), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return bundle
	}
	any := func(*certificatesv1.ClusterTrustBundle) bool { return true }
	published := find(any)
	if !strings.HasPrefix(published.Name, "kubernetes.io:kube-apiserver-serving:") || len(published.Name) != len("kubernetes.io:kube-apiserver-serving:")+24 {
		t.Errorf("it is called %q", published.Name)
	}
	// What others are told by the file of the server's authority is the same, to the byte (docs/attach.md).
	file, err := os.ReadFile(filepath.Join(filepath.Dir(s.Kubeconfig()), "pki", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		root, err := s.Client().CoreV1().ConfigMaps("dev").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && root.Data["ca.crt"] == string(file), err
	})
	if err != nil || published.Spec.TrustBundle != string(file) {
		t.Errorf("the authority in pki/ca.crt is not what is published (%v)", err)
	}
	config := s.Admin()
	config.TLSClientConfig.CAData, config.TLSClientConfig.ServerName = []byte(published.Spec.TrustBundle), ""
	if _, err := clientOf(t, config).Discovery().ServerVersion(); err != nil {
		t.Errorf("the server is not known by its bundle: %v", err)
	}
	admin := s.Client().CertificatesV1().ClusterTrustBundles()
	good := published.Spec.TrustBundle
	published.Spec.TrustBundle = anchors(t, 1, true)
	if _, err := admin.Update(t.Context(), published, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	find(func(b *certificatesv1.ClusterTrustBundle) bool { return b.Spec.TrustBundle == good })
	if err := admin.Delete(t.Context(), published.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	find(func(b *certificatesv1.ClusterTrustBundle) bool {
		return b.UID != published.UID && b.Spec.TrustBundle == good
	})
	for _, want := range []string{
		`clustertrustbundle_publisher_sync_total\{code="200"\} [1-9]`, `clustertrustbundle_publisher_sync_duration_seconds_count\{code="200"\} [1-9]`,
		`root_ca_cert_publisher_sync_total\{code="200"\} [1-9]`, `root_ca_cert_publisher_sync_duration_seconds_count\{code="200"\} [1-9]`,
		`garbagecollector_controller_resources_sync_error_total 0`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(scrape(t, s)) {
			t.Errorf("the metrics do not have %s", want)
		}
	}
}

// nodeReads tells whether a node may read a request in dev.
func nodeReads(t *testing.T, s *mustertest.Server, node, name string) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "system:node:" + node, Groups: []string{"system:nodes", "system:authenticated"},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Group: "certificates.k8s.io", Resource: "podcertificaterequests", Namespace: "dev", Name: name},
	}}
	answer, err := s.Client().AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}
