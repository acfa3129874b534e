// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package es256_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/muster-identity/muster/es256"
)

var order = elliptic.P256().Params().N

// keyOf is the key whose private half is this number.
func keyOf(t testing.TB, private *big.Int) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private.FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func randomKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func verifier(t testing.TB, key *ecdsa.PrivateKey) *es256.Key {
	t.Helper()
	v, err := es256.New(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func pair(r, s *big.Int) []byte {
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

// agree holds a verdict to that of the standard library, and returns it.
func agree(t *testing.T, v *es256.Key, digest [32]byte, signature []byte) bool {
	t.Helper()
	want := len(signature) == es256.Size &&
		ecdsa.Verify(v.Public(), digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	if got := v.Verify(digest, signature); got != want {
		t.Errorf("key %v, digest %x, signature %x: %v, the standard library says %v", v.Public(), digest, signature, got, want)
	}
	return want
}

func TestWhatAKeySignedIsVerifiedAndNothingElse(t *testing.T) {
	t.Parallel()
	for i := range 40 {
		key := randomKey(t)
		v := verifier(t, key)
		digest := sha256.Sum256(fmt.Append(nil, i))
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		good := pair(r, s)
		if !agree(t, v, digest, good) {
			t.Error("a good signature is refused")
		}
		if !agree(t, v, digest, pair(r, new(big.Int).Sub(order, s))) {
			t.Error("the other s of a good signature is refused: ECDSA has two")
		}
		if agree(t, verifier(t, randomKey(t)), digest, good) {
			t.Error("the signature of another key is accepted")
		}
		for bit := i % 8; bit < 8*es256.Size; bit += 8 {
			bad := slices.Clone(good)
			bad[bit/8] ^= 1 << (bit % 8)
			if agree(t, v, digest, bad) {
				t.Errorf("accepted with bit %d turned", bit)
			}
		}
		digest[i%32] ^= 1
		if agree(t, v, digest, good) {
			t.Error("accepted for another digest")
		}
		for _, odd := range [][]byte{nil, good[:63], append(slices.Clone(good), 0)} {
			if agree(t, v, digest, odd) {
				t.Errorf("accepted with %d bytes", len(odd))
			}
		}
	}
}

// Keys that are small multiples of the generator lead to sums of a point with itself, with its negative, and to infinity:
// where a formula for addition that is not right for all points goes wrong.
func TestOddNumbersAndKeysAreJudgedAsByTheStandardLibrary(t *testing.T) {
	t.Parallel()
	one := big.NewInt(1)
	numbers := []*big.Int{
		new(big.Int), one, big.NewInt(2), big.NewInt(255), big.NewInt(256), big.NewInt(257), new(big.Int).Rsh(order, 1),
		new(big.Int).Sub(order, big.NewInt(2)), new(big.Int).Sub(order, one), order, new(big.Int).Add(order, one),
		elliptic.P256().Params().P, new(big.Int).Sub(new(big.Int).Lsh(one, 256), one), elliptic.P256().Params().Gx,
		new(big.Int).Mod(elliptic.P256().Params().Gx, order),
	}
	accepted := 0
	for _, private := range []*big.Int{one, big.NewInt(2), big.NewInt(3), big.NewInt(256), new(big.Int).Sub(order, one), new(big.Int).Sub(order, big.NewInt(2))} {
		v := verifier(t, keyOf(t, private))
		for _, e := range numbers {
			var digest [32]byte
			e.FillBytes(digest[:])
			for _, r := range numbers {
				for _, s := range numbers {
					if agree(t, v, digest, pair(r, s)) {
						accepted++
					}
				}
			}
		}
	}
	if accepted == 0 {
		t.Error("not one was accepted: the numbers are not odd enough")
	}
}

// A signature that ends at the point u*G + v*Q with u*G = v*Q, or with u*G = -v*Q.
func TestSumsOfEqualAndOppositePointsAreRight(t *testing.T) {
	t.Parallel()
	for i := int64(1); i < 40; i++ {
		private := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(i), 200), big.NewInt(i))
		key := keyOf(t, private)
		v := verifier(t, key)
		r, s := big.NewInt(1000+i), big.NewInt(77*i)
		// v = r/s, u = e/s: equal points for e = r*d, opposite ones for e = -r*d.
		e := new(big.Int).Mod(new(big.Int).Mul(r, private), order)
		var equal, opposite [32]byte
		e.FillBytes(equal[:])
		new(big.Int).Sub(order, e).FillBytes(opposite[:])
		agree(t, v, equal, pair(r, s))
		if agree(t, v, opposite, pair(r, s)) {
			t.Error("the point at infinity is accepted")
		}
		// r is the x of 2*v*Q for the right s: s = r / (k) with R = k*G, k = 2*r*d/s.
		R := keyOf(t, big.NewInt(i*1_000_003)).PublicKey
		x, err := R.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		r = new(big.Int).Mod(new(big.Int).SetBytes(x[1:33]), order)
		k := new(big.Int).ModInverse(big.NewInt(i*1_000_003), order)
		rd := new(big.Int).Mul(r, private)
		rd.Mod(rd, order).FillBytes(equal[:])
		s = rd.Mul(rd, big.NewInt(2)).Mul(rd, k).Mod(rd, order)
		if !agree(t, v, equal, pair(r, s)) {
			t.Error("a good signature that doubles a point is refused")
		}
	}
}

func TestOnlyKeysOnTheCurveAreTaken(t *testing.T) {
	t.Parallel()
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]*ecdsa.PublicKey{
		"another curve": &other.PublicKey,
		"off the curve": {Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)},
		"no point":      {Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)},
	} {
		if v, err := es256.New(key); err == nil || v != nil {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte{1}, []byte("digest"), []byte("r"), []byte("s"), true)
	f.Add([]byte{0xff, 0xff}, []byte{}, order.Bytes(), []byte{1}, false)
	f.Fuzz(func(t *testing.T, private, message, r, s []byte, good bool) {
		d := new(big.Int).Mod(new(big.Int).SetBytes(private), new(big.Int).Sub(order, big.NewInt(1)))
		key := keyOf(t, d.Add(d, big.NewInt(1)))
		v := verifier(t, key)
		var digest [32]byte
		copy(digest[:], message)
		var signature [es256.Size]byte
		copy(signature[:32], r)
		copy(signature[32:], s)
		if good {
			r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			copy(signature[:], pair(r, s))
		}
		if agree(t, v, digest, signature[:]) != good && good {
			t.Error("a good signature is refused")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	key := randomKey(b)
	v := verifier(b, key)
	digest := sha256.Sum256([]byte("x"))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	signature := pair(r, s)
	b.Run("crypto-ecdsa", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !ecdsa.Verify(&key.PublicKey, digest[:], r, s) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("table", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !v.Verify(digest, signature) {
				b.Fatal("refused")
			}
		}
	})
}
