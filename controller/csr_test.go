// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/muster-identity/muster/authority"
)

const (
	kubeletSigner = certificatesv1.KubeAPIServerClientKubeletSignerName
	clientSigner  = certificatesv1.KubeAPIServerClientSignerName
	legacySigner  = "kubernetes.io/legacy-unknown"
)

// pendingCSR is a request for a kubelet's client certificate, made at noon.
func pendingCSR(t *testing.T, requester string, conditions ...certificatesv1.CertificateSigningRequestCondition) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:n1", Organization: []string{"system:nodes"}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "r", UID: "r-uid", CreationTimestamp: metav1.Time{Time: noon}},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), SignerName: kubeletSigner, Username: requester,
			Groups: []string{"crew"}, Extra: map[string]certificatesv1.ExtraValue{"k": {"v"}},
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
		Status: certificatesv1.CertificateSigningRequestStatus{Conditions: conditions},
	}
}

func dated(kind certificatesv1.RequestConditionType, at time.Time) certificatesv1.CertificateSigningRequestCondition {
	return certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: "True", LastUpdateTime: metav1.Time{Time: at}}
}

// answered is what a controller wrote through a side of a request.
type answered struct {
	side string
	csr  *certificatesv1.CertificateSigningRequest
}

// csrStore answers reviews with what may says and keeps what is written.
func csrStore(csr *certificatesv1.CertificateSigningRequest, may func(authorizationv1.SubjectAccessReviewSpec) bool) (client.Client, *answered) {
	var got answered
	return interceptor.NewClient(fakeStore(csr), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			review, ok := object.(*authorizationv1.SubjectAccessReview)
			if !ok {
				return c.Create(ctx, object, options...)
			}
			review.Status.Allowed = may(review.Spec)
			return nil
		},
		SubResourceUpdate: func(_ context.Context, _ client.Client, side string, object client.Object, _ ...client.SubResourceUpdateOption) error {
			got = answered{side, object.(*certificatesv1.CertificateSigningRequest)}
			return nil
		},
	}), &got
}

func TestRequestsOfKubeletsAreApprovedByTheRightsOfWhoeverMadeThem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		requester string
		right     string
		change    func(*certificatesv1.CertificateSigningRequest)
		approved  bool
		after     time.Duration
	}{
		"a bootstrapper for a node":    {"bootstrapper", "nodeclient", nil, true, 0},
		"a node for itself":            {"system:node:n1", "selfnodeclient", nil, true, 0},
		"a node for itself as for any": {"system:node:n1", "nodeclient", nil, true, 0},
		"a node for another":           {"system:node:n2", "selfnodeclient", nil, false, approvalPause},
		"somebody without the right":   {"ann", "", nil, false, approvalPause},
		"a request of another signer":  {"bootstrapper", "nodeclient", func(c *certificatesv1.CertificateSigningRequest) { c.Spec.SignerName = clientSigner }, false, 0},
		"a request against the rules":  {"bootstrapper", "nodeclient", func(c *certificatesv1.CertificateSigningRequest) { c.Spec.Usages = c.Spec.Usages[:1] }, false, 0},
		"a request that has been denied": {"bootstrapper", "nodeclient", func(c *certificatesv1.CertificateSigningRequest) {
			c.Status.Conditions = append(c.Status.Conditions, dated(certificatesv1.CertificateDenied, noon))
		}, false, 0},
		"a request that has been granted": {"bootstrapper", "nodeclient", func(c *certificatesv1.CertificateSigningRequest) {
			c.Status.Conditions = append(c.Status.Conditions, dated(certificatesv1.CertificateApproved, noon))
		}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			csr := pendingCSR(t, test.requester)
			if test.change != nil {
				test.change(csr)
			}
			store, got := csrStore(csr, func(spec authorizationv1.SubjectAccessReviewSpec) bool {
				if spec.User != test.requester || spec.Groups[0] != "crew" || spec.Extra["k"][0] != "v" {
					t.Errorf("asked about %q of %v", spec.User, spec.Groups)
				}
				wanted := authorizationv1.ResourceAttributes{Group: "certificates.k8s.io", Version: "*", Resource: "certificatesigningrequests", Subresource: test.right, Verb: "create"}
				return *spec.ResourceAttributes == wanted
			})
			if after := reconciled(t, newCSRApproval(store, store), named("r")); after != test.after {
				t.Errorf("comes back after %s, want %s", after, test.after)
			}
			if approved := got.side == "approval"; approved != test.approved {
				t.Fatalf("approved %v", approved)
			}
			if !test.approved {
				return
			}
			if c := got.csr.Status.Conditions[0]; c.Type != certificatesv1.CertificateApproved || c.Reason != "AutoApproved" {
				t.Errorf("the condition is %v", c)
			}
		})
	}
}

func TestOnlyWhatIsApprovedIsSigned(t *testing.T) {
	t.Parallel()
	approved, denied, failed := dated(certificatesv1.CertificateApproved, noon), dated(certificatesv1.CertificateDenied, noon), dated(certificatesv1.CertificateFailed, noon)
	for name, test := range map[string]struct {
		conditions []certificatesv1.CertificateSigningRequestCondition
		signer     string
		issued     bool
	}{
		"approved":            {[]certificatesv1.CertificateSigningRequestCondition{approved}, kubeletSigner, true},
		"pending":             {nil, kubeletSigner, false},
		"denied":              {[]certificatesv1.CertificateSigningRequestCondition{denied}, kubeletSigner, false},
		"approved and denied": {[]certificatesv1.CertificateSigningRequestCondition{approved, denied}, kubeletSigner, false},
		"failed before":       {[]certificatesv1.CertificateSigningRequestCondition{approved, failed}, kubeletSigner, false},
		"of another signer":   {[]certificatesv1.CertificateSigningRequestCondition{approved}, "example.com/badges", false},
		// Nobody makes such a request any more. Those that come over with a store are signed, whatever they ask for.
		"of the signer of old": {[]certificatesv1.CertificateSigningRequestCondition{approved}, legacySigner, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			csr := pendingCSR(t, "ann", test.conditions...)
			csr.Spec.SignerName = test.signer
			if test.signer == legacySigner {
				csr.Spec.Usages = []certificatesv1.KeyUsage{certificatesv1.UsageCodeSigning}
			}
			store, got := csrStore(csr, nil)
			sign := func(r authority.Request) ([]byte, error) { return []byte(r.Life.String()), nil }
			controller := newCSRSigning(store, store, Signing{Signers: map[string]func(authority.Request) ([]byte, error){kubeletSigner: sign, legacySigner: sign}, Longest: time.Hour})
			reconciled(t, controller, named("r"))
			if issued := got.side == "status"; issued != test.issued {
				t.Fatalf("issued %v", issued)
			}
			if test.issued && string(got.csr.Status.Certificate) != "1h0m0s" {
				t.Errorf("signed for %s", got.csr.Status.Certificate)
			}
		})
	}
}

func TestASignatureThatFailsIsTriedAgainAndNotGivenUp(t *testing.T) {
	t.Parallel()
	store, got := csrStore(pendingCSR(t, "ann", dated(certificatesv1.CertificateApproved, noon)), nil)
	away := errors.New("the key is away")
	sign := func(authority.Request) ([]byte, error) { return nil, away }
	controller := newCSRSigning(store, store, Signing{Signers: map[string]func(authority.Request) ([]byte, error){kubeletSigner: sign}, Longest: time.Hour})
	if _, err := controller.Reconcile(t.Context(), requestFor("r")); !errors.Is(err, away) || isTerminal(err) {
		t.Errorf("got %v", err)
	}
	if got.side != "" {
		t.Error("it was answered")
	}
}

func TestTheLifeOfACertificateIsWhatWasAskedForWithinLimits(t *testing.T) {
	t.Parallel()
	seconds := func(n int32) *int32 { return &n }
	for name, test := range map[string]struct {
		asked *int32
		want  time.Duration
	}{
		"nothing":    {nil, 24 * time.Hour},
		"an hour":    {seconds(3600), time.Hour},
		"too long":   {seconds(90000), 24 * time.Hour},
		"too little": {seconds(1), 10 * time.Minute},
	} {
		if got := certificateLife(test.asked, 24*time.Hour); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func servingCA(t *testing.T) []byte {
	t.Helper()
	ca, err := authority.New(noon)
	if err != nil {
		t.Fatal(err)
	}
	return ca.CertificatePEM()
}

func TestRequestsGoWhenTheirTimeIsUp(t *testing.T) {
	t.Parallel()
	approved, denied, failed := dated(certificatesv1.CertificateApproved, noon), dated(certificatesv1.CertificateDenied, noon), dated(certificatesv1.CertificateFailed, noon)
	foreign := dated("Custom", noon)
	ca, err := authority.New(noon.Add(30*time.Minute - authority.Life)) // expires half an hour after noon
	if err != nil {
		t.Fatal(err)
	}
	long := servingCA(t)
	for name, test := range map[string]struct {
		conditions  []certificatesv1.CertificateSigningRequestCondition
		certificate []byte
		life        time.Duration // after noon; zero: for ever
	}{
		"pending":                       {nil, nil, 24 * time.Hour},
		"denied":                        {[]certificatesv1.CertificateSigningRequestCondition{denied}, nil, time.Hour},
		"failed":                        {[]certificatesv1.CertificateSigningRequestCondition{approved, failed}, nil, time.Hour},
		"approved":                      {[]certificatesv1.CertificateSigningRequestCondition{approved}, nil, 24 * time.Hour},
		"issued":                        {[]certificatesv1.CertificateSigningRequestCondition{approved}, long, time.Hour},
		"issued, and it has expired":    {[]certificatesv1.CertificateSigningRequestCondition{approved}, ca.CertificatePEM(), 30 * time.Minute},
		"issued, in an odd way":         {[]certificatesv1.CertificateSigningRequestCondition{approved}, []byte("x"), time.Hour},
		"marked by somebody else, open": {[]certificatesv1.CertificateSigningRequestCondition{foreign}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			csr := pendingCSR(t, "ann", test.conditions...)
			csr.Status.Certificate = test.certificate
			store := fakeStore(csr)
			exists := func(at time.Time) bool {
				t.Helper()
				controller := newCSRCleaning(store, func() time.Time { return at })
				if after := reconciled(t, controller, named("r")); after > csrPeriod {
					t.Errorf("comes back after %s", after)
				}
				err := store.Get(t.Context(), named("r"), &certificatesv1.CertificateSigningRequest{})
				if client.IgnoreNotFound(err) != nil {
					t.Fatal(err)
				}
				return err == nil
			}
			if test.life == 0 {
				if !exists(noon.Add(10000 * time.Hour)) {
					t.Error("it is gone")
				}
				return
			}
			if !exists(noon.Add(test.life)) {
				t.Error("it is gone before its time")
			}
			if exists(noon.Add(test.life + time.Second)) {
				t.Error("it is there after its time")
			}
		})
	}
}

func TestRequestsForPodsGoAfterAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	request := &certificatesv1.PodCertificateRequest{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "dev", UID: "u", CreationTimestamp: metav1.Time{Time: noon}}}
	store := fakeStore(request)
	name := client.ObjectKeyFromObject(request)
	at := noon
	controller := newPodCertificateCleaning(store, func() time.Time { return at })
	if after := reconciled(t, controller, name); after != 5*time.Minute {
		t.Errorf("comes back after %s", after)
	}
	at = noon.Add(14*time.Minute + 59*time.Second)
	if after := reconciled(t, controller, name); after != time.Second {
		t.Errorf("comes back after %s", after)
	}
	at = noon.Add(15 * time.Minute)
	reconciled(t, controller, name)
	if err := store.Get(t.Context(), name, request); !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want not found", err)
	}
}
