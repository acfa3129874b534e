// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package external

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
)

func TestHeadersThatSayWhatTheyMustNotAreRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ header, want string }{
		"no JSON":               {`ES256`, "while parsing header JSON"},
		"a list":                {`["ES256"]`, "while parsing header JSON"},
		"two values":            {`{"alg":"ES256","kid":"first","typ":"JWT"}{}`, "there is more than one value"},
		"null":                  {`null`, "bad type"},
		"no type":               {`{"alg":"ES256","kid":"first"}`, "bad type"},
		"a type in small":       {`{"alg":"ES256","kid":"first","typ":"jwt"}`, "bad type"},
		"another type":          {`{"alg":"ES256","kid":"first","typ":"JOSE"}`, "bad type"},
		"no key id":             {`{"alg":"ES256","typ":"JWT"}`, "key id missing"},
		"an empty key id":       {`{"alg":"ES256","kid":"","typ":"JWT"}`, "key id missing"},
		"a key id of 1025":      {`{"alg":"ES256","kid":"` + strings.Repeat("x", 1025) + `","typ":"JWT"}`, "key id longer than 1 kb"},
		"a key id that is none": {`{"alg":"ES256","kid":7,"typ":"JWT"}`, "while parsing header JSON"},
		"no algorithm":          {`{"kid":"first","typ":"JWT"}`, `bad signing algorithm ""`},
		"alg none":              {`{"alg":"none","kid":"first","typ":"JWT"}`, `bad signing algorithm "none"`},
		"HS256":                 {`{"alg":"HS256","kid":"first","typ":"JWT"}`, `bad signing algorithm "HS256"`},
		"PS256":                 {`{"alg":"PS256","kid":"first","typ":"JWT"}`, `bad signing algorithm "PS256"`},
		"EdDSA":                 {`{"alg":"EdDSA","kid":"first","typ":"JWT"}`, `bad signing algorithm "EdDSA"`},
		"another key's":         {`{"alg":"RS256","kid":"first","typ":"JWT"}`, `the signature is not that of key "first"`},
		"an embedded key":       {`{"alg":"ES256","kid":"first","typ":"JWT","jwk":{}}`, `unknown field "jwk"`},
		"a key set elsewhere":   {`{"alg":"ES256","kid":"first","typ":"JWT","jku":"https://a"}`, `unknown field "jku"`},
		"crit":                  {`{"alg":"ES256","kid":"first","typ":"JWT","crit":["exp"]}`, `unknown field "crit"`},
		"a field of its own":    {`{"alg":"ES256","kid":"first","typ":"JWT","x":1}`, `unknown field "x"`},
		"names in capitals":     {`{"ALG":"ES256","KID":"first","TYP":"JWT"}`, `the signature is not that of key "first"`},
		"a name given twice":    {`{"alg":"ES256","kid":"other","kid":"first","typ":"JWT"}`, `the signature is not that of key "first"`},
		"a hidden key":          {`{"alg":"ES256","kid":"hidden","typ":"JWT"}`, "key used for signing JWT (kid: hidden) is excluded from OIDC discovery docs"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, private := newFake(t)
			f.keys.Keys = append(f.keys.Keys, wire(t, "hidden", private.Public(), true))
			f.sign = signing(t, test.header, private)
			refuses(t, f, test.want)
		})
	}
}

func refuses(t *testing.T, f *fake, want string) {
	t.Helper()
	compact, err := started(t, f).Sign(t.Context(), []byte(`{"sub":"a"}`))
	if compact != "" || err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), `the signer at "fake": Sign: `) {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if strings.Contains(fmt.Sprint(err), "\n") {
		t.Error("the error has more than one line")
	}
	if got := code(err); got != "unknown-non-grpc" {
		t.Errorf("it counts as %s", got)
	}
}

func TestSignaturesThatDoNotVerifyDoNotGoOut(t *testing.T) {
	t.Parallel()
	f, private := newFake(t)
	good := f.sign
	spoil := func(change func(*externaljwtv1.SignJWTResponse)) func(string) (*externaljwtv1.SignJWTResponse, error) {
		return func(claims string) (*externaljwtv1.SignJWTResponse, error) {
			r, err := good(claims)
			change(r)
			return r, err
		}
	}
	const not = `the signature is not that of key "first"`
	tests := map[string]struct {
		sign func(string) (*externaljwtv1.SignJWTResponse, error)
		want string
	}{
		"a stranger's":       {honest(t, "first", newKey(t)), not},
		"of other claims":    {func(string) (*externaljwtv1.SignJWTResponse, error) { return good("e30") }, not},
		"none":               {spoil(func(r *externaljwtv1.SignJWTResponse) { r.Signature = "" }), "empty signature returned"},
		"no base64":          {spoil(func(r *externaljwtv1.SignJWTResponse) { r.Signature = "%" }), not},
		"with padding":       {spoil(func(r *externaljwtv1.SignJWTResponse) { r.Signature += "==" }), not},
		"with a line's end":  {spoil(func(r *externaljwtv1.SignJWTResponse) { r.Signature += "\n" }), not},
		"with a dot":         {spoil(func(r *externaljwtv1.SignJWTResponse) { r.Signature += "." }), not},
		"cut":                {spoil(func(r *externaljwtv1.SignJWTResponse) { r.Signature = r.Signature[:80] }), not},
		"header with a line": {spoil(func(r *externaljwtv1.SignJWTResponse) { r.Header += "\n" }), "the base64 is not canonical"},
		"header in no code":  {spoil(func(r *externaljwtv1.SignJWTResponse) { r.Header = "{}" }), "while unwrapping header"},
		"nothing at all": {func(string) (*externaljwtv1.SignJWTResponse, error) {
			return &externaljwtv1.SignJWTResponse{}, nil
		}, "while parsing header JSON"},
		"last bits set": {spoil(func(r *externaljwtv1.SignJWTResponse) { r.Signature = lastBitsSet(r.Signature) }), not},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := newFake(t)
			f.keys = keysOf(60, wire(t, "first", private.Public(), false))
			f.sign = test.sign
			refuses(t, f, test.want)
		})
	}
}

// lastBitsSet is other base64 for the same bytes: of the last digit of 64 bytes
// only the first two bits count.
func lastBitsSet(signature string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, signature[len(signature)-1])
	return signature[:len(signature)-1] + digits[last|1:last|1+1]
}

func TestWhatTheSignerSaysOfAFailureIsPassedOn(t *testing.T) {
	t.Parallel()
	f, _ := newFake(t)
	f.sign = func(string) (*externaljwtv1.SignJWTResponse, error) {
		return nil, status.Error(codes.ResourceExhausted, "too many")
	}
	s := connect(t, f)
	_, err := s.Sign(t.Context(), []byte(`{}`))
	want := fmt.Sprintf("the signer at %q: Sign: ResourceExhausted: too many", s.socket.endpoint)
	if err == nil || err.Error() != want || code(err) != "ResourceExhausted" {
		t.Errorf("got  %v (%s)\nwant %s", err, code(err), want)
	}
	if code(nil) != "OK" || code(errors.New("x")) != "unknown-non-grpc" {
		t.Error("outcomes have other names in the metrics than in Kubernetes")
	}
}

func TestASignerThatComesBackIsUsedAgain(t *testing.T) {
	t.Parallel()
	f, _ := newFake(t)
	endpoint := filepath.Join(t.TempDir(), "s")
	stop := listen(t, f, endpoint)
	s := connectTo(t, endpoint)
	compact, err := s.Sign(t.Context(), []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	_, err = s.Sign(impatient(t), []byte(`{}`))
	if want := fmt.Sprintf("the signer at %q does not answer: no such file or directory", endpoint); err == nil || err.Error() != want {
		t.Errorf("while it is away: got %v, want %s", err, want)
	}
	if !verifies(s.Ring(), compact) {
		t.Error("while it is away its tokens do not verify")
	}
	listen(t, f, endpoint)
	if _, err := s.Sign(t.Context(), []byte(`{}`)); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func FuzzHeader(f *testing.F) {
	for _, seed := range []string{
		`{"alg":"ES256","kid":"first","typ":"JWT"}`, `{"alg":"none","kid":"","typ":"JWT"}`, `{"ALG":"RS256","kid":"a","typ":"JWT"}`, `null`, `{}{}`,
	} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(seed)))
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		h, err := readHeader(encoded)
		if err != nil {
			if h != (header{}) {
				t.Errorf("refused, and yet %+v", h)
			}
			return
		}
		if h.Type != "JWT" || h.KeyID == "" || len(h.KeyID) > maxKeyID || h.Algorithm == "" {
			t.Errorf("accepted %+v", h)
		}
		if strings.ContainsAny(encoded, "\r\n=.") {
			t.Errorf("accepted %q, which is no part of a token", encoded)
		}
	})
}
