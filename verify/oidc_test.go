// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/verify"
)

func goodVerdict() *verify.Verdict {
	return &verify.Verdict{
		Username:       "system:serviceaccount:dev:reporter",
		Groups:         []string{"system:serviceaccounts", "system:serviceaccounts:dev", "system:authenticated"},
		Namespace:      "dev",
		ServiceAccount: verify.Object{Name: "reporter", UID: "u-account"},
		Pod:            verify.Object{Name: "reporter-1", UID: "u-pod"},
		Node:           verify.Object{Name: "n1", UID: "u-node"},
		Audiences:      []string{vault},
		Expires:        start.Add(10 * time.Minute),
		ID:             "7c1f",
	}
}

func TestATokenOfEveryAlgorithmTellsWhoHoldsIt(t *testing.T) {
	t.Parallel()
	v, _ := oidc(t, newIssuer(t, allKeys()))
	for alg, kid := range map[jose.SignatureAlgorithm]string{jose.ES256: "k1", jose.RS256: "rsa", jose.ES384: "p384", jose.ES512: "p521"} {
		got, err := v.Verify(t.Context(), sign(t, alg, signingKeys()[alg], kid, goodClaims(), nil))
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		if diff := cmp.Diff(goodVerdict(), got, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Errorf("%s: verdict (-want +got):\n%s", alg, diff)
		}
	}
}

// wantRefusal wants an error of one reason, without a verdict or the token.
func wantRefusal(t *testing.T, v verify.Verifier, token string, want verify.Reason) {
	t.Helper()
	got, err := v.Verify(t.Context(), token)
	if got != nil {
		t.Error("there is a verdict on a token that should be refused")
	}
	var reason verify.Reason
	if !errors.As(err, &reason) || reason != want || !errors.Is(err, want) || !errors.Is(err, verify.ErrInvalid) {
		t.Errorf("error %v, want %q", err, want)
	}
	if errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("error %v blames the issuer", err)
	}
	if err != nil {
		wantNoPart(t, err.Error(), token)
	}
}

func wantNoPart(t *testing.T, text, token string) {
	t.Helper()
	for _, part := range strings.Split(token, ".") {
		if len(part) >= 8 && strings.Contains(text, part) {
			t.Error("a text holds a part of the token")
		}
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestEachReasonForARefusalHasAName(t *testing.T) {
	t.Parallel()
	v, _ := oidc(t, newIssuer(t, allKeys()))
	k := signingKeys()[jose.ES256]
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(goodClaims())
	if err != nil {
		t.Fatal(err)
	}
	es256 := func(claims any) string { return sign(t, jose.ES256, k, "k1", claims, nil) }
	header := func(h map[jose.HeaderKey]any) string { return sign(t, jose.ES256, k, "k1", goodClaims(), h) }
	parts := strings.Split(good(t), ".")
	kubernetes := goodClaims()["kubernetes.io"].(map[string]any)
	unnamed := map[string]any{"namespace": "dev", "serviceaccount": map[string]string{"name": "reporter"}}
	for name, test := range map[string]struct {
		token string
		want  verify.Reason
	}{
		"nothing":                      {"", verify.ErrMalformed},
		"a word":                       {"secret", verify.ErrMalformed},
		"Bearer left on":               {"Bearer " + good(t), verify.ErrMalformed},
		"trailing line end":            {good(t) + "\n", verify.ErrMalformed},
		"trailing part":                {good(t) + ".x", verify.ErrMalformed},
		"padding":                      {parts[0] + "=." + parts[1] + "." + parts[2], verify.ErrMalformed},
		"a megabyte":                   {parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2], verify.ErrMalformed},
		"a header that is a list":      {b64("[]") + "." + parts[1] + "." + parts[2], verify.ErrMalformed},
		"two algorithms":               {b64(`{"alg":"ES256","alg":"none","kid":"k1"}`) + "." + parts[1] + "." + parts[2], verify.ErrMalformed},
		"claims that are null":         {es256([]byte("null")), verify.ErrMalformed},
		"an audience twice":            {es256([]byte(strings.Replace(string(payload), "{", `{"aud":["x"],`, 1))), verify.ErrMalformed},
		"an audience that is a string": {es256(goodClaims().with("aud", vault)), verify.ErrMalformed},
		"a time with a fraction":       {es256(goodClaims().with("exp", 1.5e9+0.5)), verify.ErrMalformed},
		"a huge time":                  {es256(goodClaims().with("exp", int64(1)<<62)), verify.ErrMalformed},
		"a time before 1970":           {es256(goodClaims().with("nbf", -1)), verify.ErrMalformed},
		"a key brought along":          {sign(t, jose.ES256, other, "k1", goodClaims(), map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: other.Public()}}), verify.ErrMalformed},
		"a key set brought along":      {header(map[jose.HeaderKey]any{"jku": "https://evil.example/jwks"}), verify.ErrMalformed},
		"a certificate brought along":  {header(map[jose.HeaderKey]any{"x5c": []string{}}), verify.ErrMalformed},
		"an extension demanded":        {header(map[jose.HeaderKey]any{"crit": []string{"exp"}, "exp": 1}), verify.ErrMalformed},
		"another issuer":               {es256(goodClaims().with("iss", "https://evil.example")), verify.ErrIssuer},
		"an issuer with a slash":       {es256(goodClaims().with("iss", issuerURL+"/")), verify.ErrIssuer},
		"no issuer":                    {es256(goodClaims().with("iss", nil)), verify.ErrIssuer},
		"no key id":                    {sign(t, jose.ES256, k, "", goodClaims(), nil), verify.ErrUnknownKey},
		"an unknown key id":            {sign(t, jose.ES256, k, "../k1", goodClaims(), nil), verify.ErrUnknownKey},
		"another key of that id":       {sign(t, jose.ES256, other, "k1", goodClaims(), nil), verify.ErrSignature},
		"the id of another key":        {sign(t, jose.ES256, k, "rsa", goodClaims(), nil), verify.ErrSignature},
		"HMAC with the public key":     {sign(t, jose.HS256, der, "", goodClaims(), map[jose.HeaderKey]any{"kid": "k1"}), verify.ErrSignature},
		"RSA-PSS":                      {sign(t, jose.PS256, signingKeys()[jose.RS256], "rsa", goodClaims(), nil), verify.ErrSignature},
		"RS512":                        {sign(t, jose.RS512, signingKeys()[jose.RS256], "rsa", goodClaims(), nil), verify.ErrSignature},
		"EdDSA":                        {sign(t, jose.EdDSA, edwards, "k1", goodClaims(), nil), verify.ErrSignature},
		"no algorithm":                 {b64(`{"alg":"none","kid":"k1"}`) + "." + parts[1] + ".", verify.ErrSignature},
		"another payload":              {parts[0] + "." + b64(strings.Replace(string(payload), "dev", "prd", 1)) + "." + parts[2], verify.ErrSignature},
		"expired, signed by another":   {sign(t, jose.ES256, other, "k1", goodClaims().with("exp", 1), nil), verify.ErrSignature},
		"expired":                      {es256(goodClaims().with("exp", start.Add(-61*time.Second).Unix())), verify.ErrExpired},
		"without an end":               {es256(goodClaims().with("exp", nil)), verify.ErrExpired},
		"not valid yet":                {es256(goodClaims().with("nbf", start.Add(61*time.Second).Unix())), verify.ErrNotValidYet},
		"made in the future":           {es256(goodClaims().with("iat", start.Add(61*time.Second).Unix())), verify.ErrNotValidYet},
		"another audience":             {es256(goodClaims().with("aud", []string{"https://bank.example"})), verify.ErrAudience},
		"an audience in capitals":      {es256(goodClaims().with("aud", []string{strings.ToUpper(vault)})), verify.ErrAudience},
		"no audience":                  {es256(goodClaims().with("aud", nil)), verify.ErrAudience},
		"a user":                       {es256(goodClaims().with("sub", "jane")), verify.ErrSubject},
		"a subject with more":          {es256(goodClaims().with("sub", "system:serviceaccount:dev:reporter:x")), verify.ErrSubject},
		"another account":              {es256(goodClaims().with("sub", "system:serviceaccount:dev:admin")), verify.ErrSubject},
		"an account without a UID":     {es256(goodClaims().with("kubernetes.io", unnamed)), verify.ErrSubject},
		"claims of an old kind":        {es256(goodClaims().with("kubernetes.io", nil).with("Kubernetes.io", kubernetes)), verify.ErrSubject},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, v, test.token, test.want)
		})
	}
}

func TestATokenEndsAMinuteAfterItsTimeWhateverBecomesOfItsPod(t *testing.T) {
	t.Parallel()
	v, c := oidc(t, newIssuer(t, allKeys()))
	token := good(t)
	c.advance(11 * time.Minute)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("within the leeway: %v", err)
	}
	c.advance(time.Second)
	wantRefusal(t, v, token, verify.ErrExpired)
}

func TestKeysThatNoServerSignsWithArePassedOver(t *testing.T) {
	t.Parallel()
	secret := []byte("a secret of some bytes, and then some")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	jwk := func(k jose.JSONWebKey) string {
		document, err := k.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(document)
	}
	es256, rs256 := signingKeys()[jose.ES256], signingKeys()[jose.RS256]
	i := newIssuer(t, allKeys())
	i.put("https://keys.example/jwks", page{body: []byte(`{"keys":[` + strings.Join([]string{
		`{"kty":"new"}`, `{}`, `7`,
		jwk(jose.JSONWebKey{Key: secret, KeyID: "symmetric"}),
		jwk(jose.JSONWebKey{Key: weak.Public(), KeyID: "weak"}),
		jwk(jose.JSONWebKey{Key: es256, KeyID: "private"}),
		jwk(jose.JSONWebKey{Key: es256.Public(), KeyID: "encrypts", Use: "enc"}),
		jwk(jose.JSONWebKey{Key: rs256.Public(), KeyID: "pss", Algorithm: "PS256"}),
		jwk(jose.JSONWebKey{Key: rs256.Public(), KeyID: "two"}),
		jwk(jose.JSONWebKey{Key: es256.Public(), KeyID: "two"}),
	}, ",") + `]}`)})
	v, _ := oidc(t, i)
	for kid, token := range map[string]string{
		"symmetric": sign(t, jose.HS256, secret, "", goodClaims(), map[jose.HeaderKey]any{"kid": "symmetric"}),
		"weak":      sign(t, jose.RS256, weak, "weak", goodClaims(), nil),
		"private":   sign(t, jose.ES256, es256, "private", goodClaims(), nil),
		"encrypts":  sign(t, jose.ES256, es256, "encrypts", goodClaims(), nil),
		"pss":       sign(t, jose.PS256, rs256, "pss", goodClaims(), nil),
	} {
		t.Run(kid, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, v, token, verify.ErrUnknownKey)
		})
	}
	if _, err := v.Verify(t.Context(), sign(t, jose.ES256, es256, "two", goodClaims(), nil)); err != nil {
		t.Errorf("the second key of one id: %v", err)
	}
}

func TestDocumentsThatAreNotTheIssuersAreNotBelieved(t *testing.T) {
	t.Parallel()
	const configuration, keys = issuerURL + "/.well-known/openid-configuration", "https://keys.example/jwks"
	for name, change := range map[string]func(*issuer){
		"no answer":                 func(i *issuer) { i.fail(errors.New("connection refused")) },
		"no configuration":          func(i *issuer) { i.put(configuration, page{code: http.StatusNotFound}) },
		"a forbidden configuration": func(i *issuer) { i.put(configuration, page{code: http.StatusForbidden}) },
		"a redirect": func(i *issuer) {
			i.put(configuration, page{code: http.StatusFound, header: http.Header{"Location": {"https://keys.example/"}}})
		},
		"a configuration in HTML": func(i *issuer) { i.put(configuration, page{body: []byte("<html>")}) },
		"another issuer's": func(i *issuer) {
			i.put(configuration, page{body: []byte(`{"issuer":"https://evil.example","jwks_uri":"` + keys + `"}`)})
		},
		"keys over http": func(i *issuer) {
			i.put(configuration, page{body: []byte(`{"issuer":"` + issuerURL + `","jwks_uri":"http://keys.example/jwks"}`)})
		},
		"keys nowhere":      func(i *issuer) { i.put(configuration, page{body: []byte(`{"issuer":"` + issuerURL + `"}`)}) },
		"no keys":           func(i *issuer) { i.put(keys, page{body: []byte(`{"keys":[]}`)}) },
		"keys in HTML":      func(i *issuer) { i.put(keys, page{body: []byte("<html>")}) },
		"too many keys":     func(i *issuer) { i.put(keys, page{body: []byte(`{"keys":[` + strings.Repeat("{},", 300) + `{}]}`)}) },
		"an endless answer": func(i *issuer) { i.put(keys, page{body: []byte(strings.Repeat(" ", 1<<20) + `{"keys":[]}`)}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, allKeys())
			change(i)
			v, _ := oidc(t, i)
			got, err := v.Verify(t.Context(), good(t))
			if got != nil || !errors.Is(err, verify.ErrUnavailable) || errors.Is(err, verify.ErrInvalid) {
				t.Errorf("verdict %v, error %v, want ErrUnavailable", got, err)
			}
			if status := (*verify.StatusError)(nil); errors.As(err, &status) && status.Code == http.StatusOK {
				t.Errorf("error %v has a status of success", err)
			}
		})
	}
}

func TestAnIssuerIsFoundByItsURLAlone(t *testing.T) {
	t.Parallel()
	document, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signingKeys()[jose.ES256].Public(), KeyID: "k1"}}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	issuer := server.URL + "/tenant"
	mux.HandleFunc("GET /tenant/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "jwks_uri": server.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) })
	token := sign(t, jose.ES256, signingKeys()[jose.ES256], "k1", goodClaims().with("iss", issuer), nil)

	trusting := func(client *http.Client) verify.Verifier {
		v, err := verify.OIDC(verify.OIDCOptions{
			Issuer: issuer, Audiences: []string{vault}, Client: client, Now: func() time.Time { return start },
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if _, err := trusting(server.Client()).Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
	if _, err := trusting(nil).Verify(t.Context(), token); !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("a server whose certificate nobody knows: got error %v, want ErrUnavailable", err)
	}
}

func TestOptionsThatCannotWorkAreRefusedByName(t *testing.T) {
	t.Parallel()
	server := &verify.APIServer{URL: "https://10.0.0.1:443"}
	sound := verify.OIDCOptions{Issuer: issuerURL, Audiences: []string{vault}}
	for name, test := range map[string]struct {
		change func(*verify.OIDCOptions)
		want   string
	}{
		"no audience":       {func(o *verify.OIDCOptions) { o.Audiences = nil }, "option Audiences must name at least one"},
		"an empty audience": {func(o *verify.OIDCOptions) { o.Audiences = []string{vault, ""} }, "option Audiences must not hold an empty audience"},
		"no issuer":         {func(o *verify.OIDCOptions) { o.Issuer = "" }, "option Issuer must be set"},
		"http":              {func(o *verify.OIDCOptions) { o.Issuer = "http://muster.example" }, `option Issuer "http://muster.example" must be an https URL`},
		"no host":           {func(o *verify.OIDCOptions) { o.Issuer = "https:///x" }, "must be an https URL"},
		"a query":           {func(o *verify.OIDCOptions) { o.Issuer = issuerURL + "?a=b" }, "no query"},
		"a password":        {func(o *verify.OIDCOptions) { o.Issuer = "https://a:hunter2@muster.example" }, "option Issuer must not hold a user or password"},
		"no URL":            {func(o *verify.OIDCOptions) { o.Issuer = "https://a:hunter2@%zz" }, "option Issuer is no URL"},
		"two clients":       {func(o *verify.OIDCOptions) { o.Server, o.Client = server, &http.Client{} }, "options Server and Client"},
		"a server by http":  {func(o *verify.OIDCOptions) { o.Server = &verify.APIServer{URL: "http://10.0.0.1"} }, "option Server.URL"},
		"a CA that is away": {func(o *verify.OIDCOptions) { o.Server = &verify.APIServer{URL: server.URL, CAFile: "away.crt"} }, "option Server.CAFile"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sound
			test.change(&o)
			v, err := verify.OIDC(o)
			if v != nil || err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("verifier %v, error %v, want %q", v, err, test.want)
			}
		})
	}
	if _, err := verify.OIDC(sound); err != nil {
		t.Errorf("sound options: %v", err)
	}
}

func TestARotatedKeyIsFoundAndARetiredOneForgotten(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, map[string]crypto.PublicKey{"k1": signingKeys()[jose.ES256].Public()})
	v, c := oidc(t, i)
	before, after := good(t), sign(t, jose.ES384, signingKeys()[jose.ES384], "k2", goodClaims(), nil)
	if _, err := v.Verify(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	i.publish(t, map[string]crypto.PublicKey{"k2": signingKeys()[jose.ES384].Public()})
	wantRefusal(t, v, after, verify.ErrUnknownKey) // the keys have just been read
	c.advance(10 * time.Second)
	if _, err := v.Verify(t.Context(), after); err != nil {
		t.Errorf("the new key: %v", err)
	}
	wantRefusal(t, v, before, verify.ErrUnknownKey)
	if got := i.fetches(); got != 2 {
		t.Errorf("keys were read %d times, want 2", got)
	}
}
