// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/keyring"
)

// rsaKey is made once: it takes a while.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signerOf(t testing.TB, private crypto.Signer) *keyring.LocalSigner {
	t.Helper()
	signer, err := keyring.NewLocalSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newSigner(t testing.TB) *keyring.LocalSigner {
	t.Helper()
	return signerOf(t, ecKey(t, elliptic.P256()))
}

func newRing(t testing.TB, signer keyring.Signer, others ...keyring.Key) *keyring.Ring {
	t.Helper()
	ring, err := keyring.NewRing(signer, others...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// load reads one public key of testdata.
func load(t testing.TB, name string) keyring.Key {
	t.Helper()
	keys, err := keyring.LoadKeys(filepath.Join("testdata", name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 1 {
		t.Fatalf("%s: %d keys", name, len(keys))
	}
	return keys[0]
}

// The ids are what OpenSSL makes of the files:
// openssl pkey -pubin -in F -outform DER | openssl dgst -sha256 -binary | base64
func TestKeyIDsAreThoseOfKubernetes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		id  string
		alg jose.SignatureAlgorithm
	}{
		"es256":             {"jrCofwtb_s8YoqdGDrLhcbaydWimuScPINLQRRoiOn8", jose.ES256},
		"es256-certificate": {"jrCofwtb_s8YoqdGDrLhcbaydWimuScPINLQRRoiOn8", jose.ES256},
		"es384":             {"WkoLZ_JYT6c8OLIwj0GKZ9JjlwAfxloF2mlN4hqCTIM", jose.ES384},
		"es512":             {"iim2rCHKlpelic-VTg5ELJ0HyM4QIke-7jidvdNI6qk", jose.ES512},
		"rs256":             {"6FxWeirqws-fetR7OAC2kHSKF8G88SGaUM5akgJtCWE", jose.RS256},
		"rs256-pkcs1":       {"6FxWeirqws-fetR7OAC2kHSKF8G88SGaUM5akgJtCWE", jose.RS256},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := load(t, name)
			if key.ID != test.id || key.Algorithm != test.alg || key.Unpublished {
				t.Errorf("id %s, algorithm %s, unpublished %v", key.ID, key.Algorithm, key.Unpublished)
			}
		})
	}
}

func TestKeysThatCannotSignTokensAreRefused(t *testing.T) {
	t.Parallel()
	short := &rsa.PublicKey{N: new(big.Int).Rsh(rsaKey().N, 1), E: rsaKey().E}
	tests := map[string]struct {
		public crypto.PublicKey
		want   string
	}{
		"RSA-e-1":  {&rsa.PublicKey{N: rsaKey().N, E: 1}, "an RSA key with the public exponent 1 cannot sign: use 65537"},
		"RSA-e-2":  {&rsa.PublicKey{N: rsaKey().N, E: 65536}, "an RSA key with the public exponent 65536 cannot sign: use 65537"},
		"RSA-chip": {&rsa.PublicKey{N: new(big.Int).Exp(big.NewInt(65537), big.NewInt(130), nil), E: 65537}, "made by a faulty chip (CVE-2017-15361)"},
		"RSA-2047": {short, "an RSA key of 2047 bits is too short: use at least 2048"},
		"P-224":    {ecKey(t, elliptic.P224()).Public(), "use P-256, P-384 or P-521"},
		"no key":   {nil, "use RSA, or EC on P-256, P-384 or P-521"},
		"a string": {"key", "use RSA, or EC on P-256, P-384 or P-521"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if key, err := keyring.NewKey(test.public); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("NewKey = %v, %v", key.ID, err)
			}
		})
	}
}

func TestSignaturesAreCompactWithAHeaderOfAlgorithmAndKeyOnly(t *testing.T) {
	t.Parallel()
	tests := map[jose.SignatureAlgorithm]struct {
		key  crypto.Signer
		size int
	}{
		jose.ES256: {ecKey(t, elliptic.P256()), 64},
		jose.ES384: {ecKey(t, elliptic.P384()), 96},
		jose.ES512: {ecKey(t, elliptic.P521()), 132},
		jose.RS256: {rsaKey(), 256},
	}
	for alg, test := range tests {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			signer := signerOf(t, test.key)
			key := signer.Keys()[0]
			// Often enough for r or s to begin with a zero byte in some runs.
			for i := range 20 {
				payload := fmt.Sprintf(`{"n":%d}`, i)
				compact, err := signer.Sign(t.Context(), []byte(payload))
				if err != nil {
					t.Fatal(err)
				}
				parts := strings.Split(compact, ".")
				if len(parts) != 3 {
					t.Fatalf("%d parts", len(parts))
				}
				want := fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, key.ID)
				if got := decode(t, parts[0]); got != want {
					t.Errorf("header %s, want %s", got, want)
				}
				if got := decode(t, parts[1]); got != payload {
					t.Errorf("payload %s, want %s", got, payload)
				}
				if got := len(decode(t, parts[2])); got != test.size {
					t.Errorf("signature of %d bytes, want %d", got, test.size)
				}
				verify(t, compact, key)
			}
		})
	}
}

func decode(t *testing.T, part string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func verify(t *testing.T, compact string, key keyring.Key) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{key.Algorithm})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify(key.Public); err != nil {
		t.Error(err)
	}
}

func TestARingVerifiesWithItsSignerAndWithOthers(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	own, old := signer.Keys()[0], load(t, "es384")
	ring := newRing(t, signer, old, own, old)

	if diff := cmp.Diff([]string{own.ID, old.ID}, ids(ring.Keys())); diff != "" {
		t.Errorf("keys differ (-want +got):\n%s", diff)
	}
	if got := ring.Candidates(old.ID); len(got) != 1 || !old.Equal(keyring.Key{Public: got[0]}) {
		t.Errorf("%d candidates for a known id, or the wrong one", len(got))
	}
	if got := ring.Candidates(""); len(got) != 2 {
		t.Errorf("%d candidates without an id, want all", len(got))
	}
	if got := ring.Candidates("unknown"); len(got) != 0 {
		t.Errorf("%d candidates for an unknown id", len(got))
	}
	if key, ok := ring.Key(old.ID); !ok || !key.Equal(old) {
		t.Errorf("Key = %v, %v", key.ID, ok)
	}
	if _, ok := ring.Key(""); ok {
		t.Error("a key without an id")
	}
}

func ids(keys []keyring.Key) []string {
	var list []string
	for _, key := range keys {
		list = append(list, key.ID)
	}
	return list
}

// remote signs elsewhere, with keys it names as it likes.
type remote struct{ keys []keyring.Key }

func (r remote) Keys() []keyring.Key                        { return r.keys }
func (remote) Sign(context.Context, []byte) (string, error) { return "h.p.s", nil }

func TestARingThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	one, two := load(t, "es256"), load(t, "rs256")
	two.ID = one.ID
	tests := map[string]struct {
		signer keyring.Signer
		others []keyring.Key
		want   string
	}{
		"no signer":            {nil, []keyring.Key{one}, "there is no signer"},
		"no keys":              {remote{}, nil, "there are no keys"},
		"two keys with one id": {remote{[]keyring.Key{one}}, []keyring.Key{two}, "two different keys have the id"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ring, err := keyring.NewRing(test.signer, test.others...)
			if ring != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("NewRing = %v, %v", ring, err)
			}
		})
	}
}

func TestARingTakesASignerThatNamesItsOwnKeys(t *testing.T) {
	t.Parallel()
	key := load(t, "es256")
	key.ID = "hsm-1"
	k := keyring.New(newRing(t, remote{[]keyring.Key{key}}))
	if got, ok := k.Current().Key("hsm-1"); !ok || !got.Equal(key) {
		t.Error("the key of the signer is not in the ring")
	}
	if got, err := k.Sign(t.Context(), nil); got != "h.p.s" || err != nil {
		t.Errorf("Sign = %q, %v", got, err)
	}
}

func TestReplacingTheRingTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	before, after := newSigner(t), newSigner(t)
	old := newRing(t, before)
	k := keyring.New(old)
	if k.Current() != old {
		t.Fatal("the ring in force is another one")
	}

	k.Replace(newRing(t, after, before.Keys()...))
	if k.Current() == old {
		t.Error("the ring in force is still the old one")
	}
	compact, err := k.Sign(t.Context(), []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	verify(t, compact, after.Keys()[0])
	if len(k.Current().Candidates(before.Keys()[0].ID)) != 1 {
		t.Error("the old key does not verify any more")
	}
	if len(old.Keys()) != 1 {
		t.Error("the old ring has changed")
	}
}

func TestSigningAndReplacingAtTheSameTimeIsSafe(t *testing.T) {
	t.Parallel()
	one, two := newSigner(t), newSigner(t)
	rings := []*keyring.Ring{newRing(t, one, two.Keys()...), newRing(t, two, one.Keys()...)}
	k := keyring.New(rings[0])
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 25 {
				k.Replace(rings[i%2])
				compact, err := k.Sign(t.Context(), []byte(`{}`))
				if err != nil {
					t.Error(err)
					return
				}
				jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
				if err != nil {
					t.Error(err)
					return
				}
				kid := jws.Signatures[0].Protected.KeyID
				if _, err := jws.Verify(k.Current().Candidates(kid)[0]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkSign(b *testing.B) {
	payload := []byte(strings.Repeat("x", 600))
	for name, key := range map[string]crypto.Signer{"ES256": ecKey(b, elliptic.P256()), "RS256": rsaKey()} {
		b.Run(name, func(b *testing.B) {
			k := keyring.New(newRing(b, signerOf(b, key)))
			for b.Loop() {
				if _, err := k.Sign(b.Context(), payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
