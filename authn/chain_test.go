// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/authn"
)

// bearers knows the tokens "good" and "expired".
type bearers struct{}

func (bearers) AuthenticateToken(_ context.Context, compact string) (*authenticator.Response, bool, error) {
	switch compact {
	case "good":
		return &authenticator.Response{User: &user.DefaultInfo{Name: "system:serviceaccount:shop:cart", Groups: []string{"system:serviceaccounts"}}}, true, nil
	case "expired":
		return nil, false, errors.New("service account token has expired")
	}
	return nil, false, nil
}

// authority signs client certificates.
type authority struct {
	signer
	certificate *x509.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	ca := authority{signer: newSigner(t)}
	ca.certificate = template
	ca.certificate = ca.issue(t, template, &ca.signer)
	return ca
}

func (ca authority) issue(t *testing.T, template *x509.Certificate, subject *signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, subject.private.Public(), ca.private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// client is a certificate of a user; it ended if the end has passed.
func (ca authority) client(t *testing.T, name string, end time.Time) *x509.Certificate {
	t.Helper()
	subject := newSigner(t)
	return ca.issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, Organization: []string{"crew"}},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: end, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, &subject)
}

func (ca authority) options() x509request.VerifyOptionFunc {
	options := x509request.DefaultVerifyOptions()
	options.Roots = x509.NewCertPool()
	options.Roots.AddCert(ca.certificate)
	return x509request.StaticVerifierFn(options)
}

func websocketToken(compact string) string {
	return "base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(compact))
}

func TestTheChainOfCredentials(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	late := time.Now().Add(time.Hour)
	ours := ca.client(t, "ann", late)
	nobodys := newAuthority(t).client(t, "ann", late)
	outdated := ca.client(t, "ann", time.Now().Add(-time.Hour))
	const (
		ann       = "ann [crew system:authenticated]"
		cart      = "system:serviceaccount:shop:cart [system:serviceaccounts system:authenticated]"
		anonymous = "system:anonymous [system:unauthenticated]"
		nobody    = ""
	)
	for name, test := range map[string]struct {
		certificate *x509.Certificate
		bearer      string
		protocols   string
		want        string
		refusal     string // part of the error
	}{
		"nothing at all":                   {want: anonymous},
		"a certificate":                    {certificate: ours, want: ann},
		"a token":                          {bearer: "Bearer good", want: cart},
		"a token, in small letters":        {bearer: "bearer good", want: cart},
		"both: the certificate counts":     {certificate: ours, bearer: "Bearer good", want: ann},
		"a good certificate, a bad token":  {certificate: ours, bearer: "Bearer bad", want: ann},
		"a bad certificate, a good token":  {certificate: nobodys, bearer: "Bearer good", want: cart},
		"a stranger's certificate":         {certificate: nobodys, refusal: "x509: certificate signed by unknown authority"},
		"an outdated certificate":          {certificate: outdated, refusal: "has expired or is not yet valid"},
		"two bad ones":                     {certificate: nobodys, bearer: "Bearer bad", refusal: "invalid bearer token"},
		"an unknown token":                 {bearer: "Bearer bad", refusal: "invalid bearer token"},
		"a token with its own refusal":     {bearer: "Bearer expired", refusal: "service account token has expired"},
		"an empty token is no attempt":     {bearer: "Bearer ", want: anonymous},
		"another scheme is no attempt":     {bearer: "Basic Z29vZDpnb29k", want: anonymous},
		"a websocket":                      {protocols: websocketToken("good") + ", v5.channel.k8s.io", want: cart},
		"a websocket with a bad token":     {protocols: websocketToken("bad") + ", v5.channel.k8s.io", refusal: "invalid bearer token"},
		"a websocket without a token":      {protocols: "v5.channel.k8s.io", want: anonymous},
		"a websocket with a token alone":   {protocols: websocketToken("good"), refusal: "missing additional subprotocol"},
		"a websocket with two tokens":      {protocols: websocketToken("good") + "," + websocketToken("good") + ",x", refusal: "multiple base64.bearer.authorization tokens"},
		"a websocket, and a token as well": {bearer: "Bearer good", protocols: websocketToken("bad") + ",x", want: cart},
	} {
		for _, allowAnonymous := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				want := test.want
				if want == anonymous && !allowAnonymous {
					want = nobody
				}
				request := request(t, test.certificate, test.bearer, test.protocols)
				response, ok, err := authn.Chain(authn.Ways{ClientCAs: ca.options(), Tokens: bearers{}, Anonymous: apiserver.AnonymousAuthConfig{Enabled: allowAnonymous}}).AuthenticateRequest(request)
				if test.refusal != "" {
					if ok || err == nil || !strings.Contains(err.Error(), test.refusal) {
						t.Errorf("anonymous allowed: %v: %v, %v; want the error %q", allowAnonymous, ok, err, test.refusal)
					}
					return
				}
				if err != nil || ok != (want != nobody) {
					t.Fatalf("anonymous allowed: %v: %v, %v; want %q", allowAnonymous, ok, err, want)
				}
				if ok {
					got := response.User.GetName() + " [" + strings.Join(response.User.GetGroups(), " ") + "]"
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("anonymous allowed: %v (-want +got):\n%s", allowAnonymous, diff)
					}
				}
			})
		}
	}
}

func request(t *testing.T, certificate *x509.Certificate, bearer, protocols string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api", nil)
	if certificate != nil {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
	}
	if bearer != "" {
		r.Header.Set("Authorization", bearer)
	}
	if protocols != "" {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Sec-Websocket-Protocol", protocols)
	}
	return r
}

func TestATokenGoesNoFurtherThanItsCheck(t *testing.T) {
	t.Parallel()
	chain := authn.Chain(authn.Ways{ClientCAs: newAuthority(t).options(), Tokens: bearers{}, Anonymous: apiserver.AnonymousAuthConfig{Enabled: true}})
	for name, r := range map[string]*http.Request{
		"in the header":  request(t, nil, "Bearer good", ""),
		"of a websocket": request(t, nil, "", "a, "+websocketToken("good")+", b"),
	} {
		if _, ok, err := chain.AuthenticateRequest(r); !ok || err != nil {
			t.Fatalf("%s: refused: %v", name, err)
		}
		if left := r.Header.Get("Authorization"); left != "" {
			t.Errorf("%s: the header Authorization is still there", name)
		}
		if left := r.Header.Values("Sec-Websocket-Protocol"); slices.ContainsFunc(left, func(p string) bool { return strings.Contains(p, "bearer") }) {
			t.Errorf("%s: the sub-protocol with the token is still there", name)
		}
	}
}

func TestACertificateNamesItselfInAudit(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	response, ok, err := authn.Chain(authn.Ways{ClientCAs: ca.options(), Tokens: bearers{}}).AuthenticateRequest(request(t, ca.client(t, "ann", time.Now().Add(time.Hour)), "", ""))
	if !ok || err != nil {
		t.Fatal(err)
	}
	credential := response.User.GetExtra()[user.CredentialIDKey]
	if len(credential) != 1 || !strings.HasPrefix(credential[0], "X509SHA256=") {
		t.Errorf("credential id: %q", credential)
	}
}
