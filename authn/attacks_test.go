// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/token"
)

// target is a server with keys of two kinds, and what an attacker has: a token of his own, the public keys, keys that are
// not the server's, and time.
type target struct {
	*desk
	t *testing.T
	// claims are the payload of his token, header, payload and signature its parts.
	claims                     string
	header, payload, signature string
	// rsa is the server's other key, whose id is in the published documents too; its tokens are good.
	rsa   *rsa.PrivateKey
	rsaID string
	// stranger is the attacker's key, which he may give any id.
	stranger signer
}

func newTarget(t *testing.T) *target {
	t.Helper()
	a := &target{desk: newDesk(t), t: t, stranger: newSigner(t)}
	private, err := knownKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := keyring.NewKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	a.rsa, a.rsaID = private, other.ID
	a.ring = newRing(t, a.desk.signer, other)
	a.keys.Replace(a.ring)
	a.claims = string(encode(t, grant().Claims()))
	parts := strings.Split(a.sign(t, grant().Claims()), ".")
	a.header, a.payload, a.signature = parts[0], parts[1], parts[2]
	return a
}

// knownKey is made once: making an RSA key takes a while.
var knownKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// mine is the id of the key that signs.
func (a *target) mine() string { return a.desk.signer.key.ID }

// headed is the attacker's token under another header.
func (a *target) headed(header string) string {
	return encoded(header) + "." + a.payload + "." + a.signature
}

// es256 is a header for a key.
func es256(id string) string { return `{"alg":"ES256","kid":"` + id + `"}` }

// strange is signed by the attacker's key, with more in its header.
func (a *target) strange(id string, more map[jose.HeaderKey]any) string {
	key := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: a.stranger.private, KeyID: id}}
	options := &jose.SignerOptions{ExtraHeaders: more}
	return signed(a.t, key, options, a.claims)
}

// certificate is one that the attacker has made for his own key.
func (a *target) certificate() []byte {
	a.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "system:apiserver"}, NotAfter: now.AddDate(100, 0, 0)}
	made, err := x509.CreateCertificate(rand.Reader, template, template, a.stranger.private.Public(), a.stranger.private)
	if err != nil {
		a.t.Fatal(err)
	}
	return made
}

// secret is signed by HMAC with something that everybody knows.
func (a *target) secret(algorithm jose.SignatureAlgorithm, known []byte) string {
	return signed(a.t, jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: known, KeyID: a.mine()}}, nil, a.claims)
}

// der is a public key in binary, armour the same in PEM.
func der(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	encoded, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func armour(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// numbers is an ES256 token whose signature are the two numbers.
func (a *target) numbers(r, s *big.Int) string {
	size := (max(256, r.BitLen(), s.BitLen()) + 7) / 8
	return a.raw(append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...))
}

// raw is an ES256 token with these bytes for a signature.
func (a *target) raw(signature []byte) string {
	return a.header + "." + a.payload + "." + encoded(string(signature))
}

// own is the good signature, as numbers.
func (a *target) own() (r, s *big.Int) {
	raw, err := base64.RawURLEncoding.DecodeString(a.signature)
	if err != nil {
		a.t.Fatal(err)
	}
	return new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
}

// asn1 is the good signature in the encoding of X.509.
func (a *target) asn1() string {
	r, s := a.own()
	encoded, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		a.t.Fatal(err)
	}
	return a.raw(encoded)
}

// rs256 is a token under the RSA key's id, with the signature that f makes of the signed text.
func (a *target) rs256(f func(text []byte) []byte) string {
	text := encoded(`{"alg":"RS256","kid":"`+a.rsaID+`"}`) + "." + a.payload
	return text + "." + encoded(string(f([]byte(text))))
}

// padded raises a block to the private exponent: whatever a verifier that is careless about padding would let pass.
func (a *target) padded(block []byte) []byte {
	n := new(big.Int).SetBytes(block)
	return n.Exp(n, a.rsa.D, a.rsa.N).FillBytes(make([]byte, 256))
}

// pkcs1 signs as RS256 does, with another hash if need be.
func (a *target) pkcs1(hash crypto.Hash, text []byte) []byte {
	digest := hash.New()
	digest.Write(text)
	signature, err := rsa.SignPKCS1v15(nil, a.rsa, hash, digest.Sum(nil))
	if err != nil {
		a.t.Fatal(err)
	}
	return signature
}

// sha256Prefix names the hash in a block of PKCS #1.
var sha256Prefix = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// block lays a digest out with padding that is too short, and what follows in its place.
func block(text []byte, padding int, tail []byte) []byte {
	digest := sha256.Sum256(text)
	b := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, padding)...)
	b = append(append(append(b, 0), sha256Prefix...), digest[:]...)
	return append(append(b, tail...), make([]byte, 256-len(b)-len(tail))...)
}

// signedPayload is what our own key signed, by whatever mistake.
func (a *target) signedPayload(payload string) string {
	compact, err := a.desk.signer.Sign(a.t.Context(), []byte(payload))
	if err != nil {
		a.t.Fatal(err)
	}
	return compact
}

// with is the claims with a part replaced.
func (a *target) with(old, replacement string) string {
	changed := strings.Replace(a.claims, old, replacement, 1)
	if changed == a.claims {
		a.t.Fatalf("the claims have no %s", old)
	}
	return changed
}

const (
	malformed = "service account token claims are malformed"
	tooLong   = 1 << 20
)

// attack is a token and what is said of it.
type attack struct {
	name  string
	token func(a *target) string
	want  string
}

// Without the server's private key: nothing that the attacker can make is accepted.
func forgeries() []attack {
	n, zero, one := elliptic.P256().Params().N, big.NewInt(0), big.NewInt(1)
	return []attack{
		{"no signature", func(a *target) string { return a.header + "." + a.payload + "." }, badSignature},
		{"alg none", func(a *target) string { return assemble(`{"alg":"none"}`, a.claims, "") }, badSignature},
		{"alg none, with a key", func(a *target) string { return assemble(`{"alg":"none","kid":"`+a.mine()+`"}`, a.claims, "") }, badSignature},
		{"alg none, a good signature kept", func(a *target) string { return a.headed(`{"alg":"none"}`) }, badSignature},
		{"alg nOnE", func(a *target) string { return assemble(`{"alg":"nOnE"}`, a.claims, "") }, badSignature},
		{"alg empty", func(a *target) string { return assemble(`{"alg":""}`, a.claims, "") }, badSignature},
		{"alg of another case", func(a *target) string { return a.headed(`{"alg":"es256","kid":"` + a.mine() + `"}`) }, badSignature},
		{"alg twice", func(a *target) string { return a.headed(`{"alg":"none","alg":"ES256"}`) }, notOurs},
		{"ALG beside alg", func(a *target) string { return a.headed(`{"ALG":"ES256","alg":"none"}`) }, badSignature},

		{"HMAC with the public key", func(a *target) string { return hmacOfPublicKey(a.t, a.desk.signer, a.claims) }, badSignature},
		{"HMAC with the public key in PEM", func(a *target) string {
			return a.secret(jose.HS256, armour(der(a.t, a.desk.signer.key.Public)))
		}, badSignature},
		{"HMAC with the RSA key", func(a *target) string { return a.secret(jose.HS512, der(a.t, a.rsa.Public())) }, badSignature},
		{"HMAC with the key's id", func(a *target) string { return a.secret(jose.HS256, []byte(a.mine())) }, badSignature},
		{"RS256 of an EC key", func(a *target) string { return a.headed(`{"alg":"RS256","kid":"` + a.mine() + `"}`) }, badSignature},
		{"ES384 of a P-256 key", func(a *target) string { return a.headed(`{"alg":"ES384","kid":"` + a.mine() + `"}`) }, badSignature},
		{"ES512 of a P-256 key", func(a *target) string { return a.headed(`{"alg":"ES512","kid":"` + a.mine() + `"}`) }, badSignature},
		{"ES256 of the RSA key", func(a *target) string { return a.headed(es256(a.rsaID)) }, badSignature},
		{"PS256", func(a *target) string { return a.headed(`{"alg":"PS256","kid":"` + a.rsaID + `"}`) }, badSignature},
		{"EdDSA", func(a *target) string { return a.headed(`{"alg":"EdDSA"}`) }, badSignature},

		{"a key that nobody knows", func(a *target) string { return a.strange(a.stranger.key.ID, nil) }, noKeys},
		{"a stranger's key under our id", func(a *target) string { return a.strange(a.mine(), nil) }, badSignature},
		{"a stranger's key under no id", func(a *target) string { return a.strange("", nil) }, badSignature},
		{"the id of another key of ours", func(a *target) string { return a.strange(a.rsaID, nil) }, badSignature},
		{"the id in other case", func(a *target) string { return a.headed(es256(strings.ToLower(a.mine()))) }, noKeys},
		{"an id with more behind", func(a *target) string { return a.headed(es256(a.mine() + `\u0000`)) }, noKeys},
		{"an id that is a path", func(a *target) string { return a.strange("../../../../dev/null", nil) }, noKeys},
		{"an id that is SQL", func(a *target) string { return a.strange("' UNION SELECT 'key' --", nil) }, noKeys},
		{"an id that is a command", func(a *target) string { return a.strange("$(id)|/bin/id", nil) }, noKeys},
		{"an id that is a megabyte", func(a *target) string { return a.strange(strings.Repeat("k", tooLong), nil) }, noKeys},
		{"an id that is a list", func(a *target) string { return a.headed(`{"alg":"ES256","kid":["` + a.mine() + `"]}`) }, notOurs},
		{"two ids", func(a *target) string { return a.headed(`{"alg":"ES256","kid":"x","kid":"` + a.mine() + `"}`) }, notOurs},

		{"its key in the header (jwk)", func(a *target) string { return embedded(a.t, a.stranger, a.claims, a.mine()) }, badSignature},
		{"the address of its keys (jku)", func(a *target) string {
			return a.strange(a.mine(), map[jose.HeaderKey]any{"jku": "https://attacker.example/keys"})
		}, badSignature},
		{"the address of its certificate (x5u)", func(a *target) string {
			return a.strange("", map[jose.HeaderKey]any{"x5u": "https://attacker.example/certificate"})
		}, badSignature},
		{"its certificate (x5c)", func(a *target) string {
			return a.strange("", map[jose.HeaderKey]any{"x5c": []string{"bm90IGEgY2VydGlmaWNhdGU="}})
		}, notOurs},
		{"its certificate, a true one (x5c)", func(a *target) string {
			return a.strange(a.mine(), map[jose.HeaderKey]any{"x5c": []string{base64.StdEncoding.EncodeToString(a.certificate())}})
		}, badSignature},
		{"a token in a token (cty)", func(a *target) string {
			inner := a.header + "." + a.payload + "." + a.signature
			return signed(a.t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: a.stranger.private, KeyID: a.mine()}},
				&jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"cty": "JWT"}}, inner)
		}, notOurs},
		{"compressed (zip)", func(a *target) string {
			return a.headed(`{"alg":"ES256","kid":"` + a.mine() + `","zip":"DEF"}`)
		}, badSignature},
		{"a critical header", func(a *target) string {
			return a.headed(`{"alg":"ES256","crit":["exp"],"exp":1,"kid":"` + a.mine() + `"}`)
		}, badSignature},
		{"a payload out of base64 (b64)", func(a *target) string {
			return encoded(`{"alg":"ES256","b64":false,"crit":["b64"]}`) + "." + a.payload + "." + a.signature
		}, badSignature},

		{"another account", func(a *target) string {
			return a.header + "." + encoded(a.with(`"cart"`, `"boss"`)) + "." + a.signature
		}, badSignature},
		{"another issuer of ours", func(a *target) string {
			return a.header + "." + encoded(a.with(api+`","jti`, other+`","jti`)) + "." + a.signature
		}, badSignature},
		{"another header", func(a *target) string { return a.headed(`{"alg":"ES256"}`) }, badSignature},
		{"a space in the header", func(a *target) string { return a.headed(" " + es256(a.mine())) }, badSignature},

		{"padding", func(a *target) string { return a.header + "." + a.payload + "." + a.signature + "==" }, notOurs},
		{"the other base64", func(a *target) string { return a.header + "." + a.payload + "." + a.signature[:84] + "+/" }, notOurs},
		{"stray bits", func(a *target) string {
			return a.header + "." + a.payload + "." + a.signature[:85] + string(a.signature[85]+1)
		}, notOurs},
		{"a line end", func(a *target) string { return a.header + ".\n" + a.payload + "." + a.signature }, notOurs},
		{"a space before", func(a *target) string { return " " + a.header + "." + a.payload + "." + a.signature }, notOurs},
		{"a fourth part", func(a *target) string { return a.header + "." + a.payload + "." + a.signature + "." }, notOurs},
		{"JSON serialization", func(a *target) string {
			return `{"protected":"` + a.header + `","payload":"` + a.payload + `","signature":"` + a.signature + `"}`
		}, notOurs},
		{"a megabyte of nothing", func(*target) string { return strings.Repeat("A", tooLong) }, notOurs},
		{"a megabyte of dots", func(*target) string { return strings.Repeat(".", tooLong) }, notOurs},
		{"a megabyte of payload", func(a *target) string {
			return a.header + "." + encoded(a.with(`"jti":"`, `"jti":"`+strings.Repeat("j", tooLong))) + "." + a.signature
		}, badSignature},
		{"a megabyte of signature", func(a *target) string { return a.raw(make([]byte, tooLong)) }, badSignature},
		{"half a million brackets", func(a *target) string {
			return a.header + "." + encoded(`{"iss":"`+api+`","x":`+strings.Repeat("[", tooLong/2)) + "." + a.signature
		}, notOurs},

		{"ECDSA: r and s zero", func(a *target) string { return a.numbers(zero, zero) }, badSignature},
		{"ECDSA: r zero", func(a *target) string { _, s := a.own(); return a.numbers(zero, s) }, badSignature},
		{"ECDSA: s zero", func(a *target) string { r, _ := a.own(); return a.numbers(r, zero) }, badSignature},
		{"ECDSA: r and s one", func(a *target) string { return a.numbers(one, one) }, badSignature},
		{"ECDSA: r and s the order", func(a *target) string { return a.numbers(n, n) }, badSignature},
		{"ECDSA: s the order", func(a *target) string { r, _ := a.own(); return a.numbers(r, n) }, badSignature},
		{"ECDSA: r past the order", func(a *target) string { r, s := a.own(); return a.numbers(new(big.Int).Add(r, n), s) }, badSignature},
		{"ECDSA: s past the order", func(a *target) string { r, s := a.own(); return a.numbers(r, new(big.Int).Add(s, n)) }, badSignature},
		{"ECDSA: r the field's prime", func(a *target) string { return a.numbers(elliptic.P256().Params().P, one) }, badSignature},
		{"ECDSA: r and s swapped", func(a *target) string { r, s := a.own(); return a.numbers(s, r) }, badSignature},
		{"ECDSA: a byte short", func(a *target) string {
			r, s := a.own()
			return a.raw(append(r.FillBytes(make([]byte, 32)), s.Bytes()[1:]...))
		}, badSignature},
		{"ECDSA: zeroes before", func(a *target) string {
			r, s := a.own()
			return a.raw(append(r.FillBytes(make([]byte, 33)), s.FillBytes(make([]byte, 33))...))
		}, badSignature},
		{"ECDSA: a byte behind", func(a *target) string {
			r, s := a.own()
			return a.raw(append(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), 0))
		}, badSignature},
		{"ECDSA: in ASN.1", (*target).asn1, badSignature},
		{"ECDSA: of the hash for ES512", func(a *target) string {
			digest := sha512.Sum512([]byte(a.header + "." + a.payload))
			r, s, err := ecdsa.Sign(rand.Reader, a.desk.signer.private.(*ecdsa.PrivateKey), digest[:])
			if err != nil {
				a.t.Fatal(err)
			}
			return a.numbers(r, s)
		}, badSignature},

		{"RSA: zero", func(a *target) string { return a.rs256(func([]byte) []byte { return make([]byte, 256) }) }, badSignature},
		{"RSA: one", func(a *target) string {
			return a.rs256(func([]byte) []byte { return one.FillBytes(make([]byte, 256)) })
		}, badSignature},
		{"RSA: the modulus less one", func(a *target) string {
			return a.rs256(func([]byte) []byte { return new(big.Int).Sub(a.rsa.N, one).Bytes() })
		}, badSignature},
		{"RSA: past the modulus", func(a *target) string {
			return a.rs256(func(text []byte) []byte {
				s := new(big.Int).SetBytes(a.pkcs1(crypto.SHA256, text))
				return s.Add(s, a.rsa.N).Bytes()
			})
		}, badSignature},
		{"RSA: SHA-512", func(a *target) string {
			return a.rs256(func(text []byte) []byte { return a.pkcs1(crypto.SHA512, text) })
		}, badSignature},
		{"RSA: no hash named", func(a *target) string {
			return a.rs256(func(text []byte) []byte {
				digest := sha256.Sum256(text)
				signature, err := rsa.SignPKCS1v15(nil, a.rsa, 0, digest[:])
				if err != nil {
					a.t.Fatal(err)
				}
				return signature
			})
		}, badSignature},
		{"RSA: PSS", func(a *target) string {
			return a.rs256(func(text []byte) []byte {
				digest := sha256.Sum256(text)
				signature, err := rsa.SignPSS(rand.Reader, a.rsa, crypto.SHA256, digest[:], nil)
				if err != nil {
					a.t.Fatal(err)
				}
				return signature
			})
		}, badSignature},
		{"RSA: short padding, garbage behind", func(a *target) string {
			return a.rs256(func(text []byte) []byte { return a.padded(block(text, 8, bytes.Repeat([]byte{7}, 100))) })
		}, badSignature},
		{"RSA: short padding, zeroes behind", func(a *target) string {
			return a.rs256(func(text []byte) []byte { return a.padded(block(text, 200, nil)) })
		}, badSignature},
		{"RSA: no padding", func(a *target) string {
			return a.rs256(func(text []byte) []byte {
				digest := sha256.Sum256(text)
				return a.padded(digest[:])
			})
		}, badSignature},
		{"RSA: a byte behind", func(a *target) string {
			return a.rs256(func(text []byte) []byte { return append(a.pkcs1(crypto.SHA256, text), 0) })
		}, badSignature},
		{"RSA: a zero before", func(a *target) string {
			return a.rs256(func(text []byte) []byte { return append([]byte{0}, a.pkcs1(crypto.SHA256, text)...) })
		}, badSignature},
	}
}

// With the server's key, by mistake of whoever may use it: what is ambiguous or out of bounds is refused all the same.
func oddities() []attack {
	signs := func(old, replacement string) func(a *target) string {
		return func(a *target) string { return a.signedPayload(a.with(old, replacement)) }
	}
	const account = `"serviceaccount":{"name":"cart","uid":"cart-uid"}`
	return []attack{
		{"two accounts", signs(account, account+`,"serviceaccount":{"name":"boss","uid":"boss-uid"}`), malformed},
		{"two audiences claims", signs(`"aud":`, `"aud":["vault"],"aud":`), notOurs},
		{"two expiries", signs(`"exp":`, `"exp":253402300799,"exp":`), notOurs},
		{"two issuers", signs(`"iss":`, `"iss":"https://elsewhere","iss":`), notOurs},
		{"two issuers, by an escape", signs(`"iss":`, `"\u0069ss":"https://elsewhere","iss":`), notOurs},
		{"something behind the claims", func(a *target) string { return a.signedPayload(a.claims + `{"exp":1}`) }, notOurs},
		{"an audience that is a string", signs(`["`+api+`"]`, `"`+api+`"`), malformed},
		{"an audience that is an object", signs(`["`+api+`"]`, `{"`+api+`":true}`), malformed},
		{"an audience with another in it", signs(`["`+api+`"]`, `["vault,`+api+`"]`), `token audiences ["vault,` + api + `"] is invalid for the target audiences ["` + api + `" "api"]`},
		{"an audience in other case", signs(`["`+api+`"]`, `["API"]`), `token audiences ["API"] is invalid for the target audiences ["` + api + `" "api"]`},
		{"an audience for all", signs(`["`+api+`"]`, `["*"]`), `token audiences ["*"] is invalid for the target audiences ["` + api + `" "api"]`},
		{"an issuer in other case", signs(`"iss":"https`, `"iss":"HTTPS`), notOurs},
		{"an issuer with more behind", signs(`"iss":"`+api, `"iss":"`+api+"/"), notOurs},
		{"a claim in other case", signs(`"kubernetes.io":`, `"Kubernetes.io":`), ` "" not found`},
		{"an account in other case", signs(`"name":"cart"`, `"name":"Cart"`), `serviceaccounts "Cart" not found`},
		{"an account that is a path", signs(`"name":"cart"`, `"name":"../shop/cart"`), `serviceaccounts "../shop/cart" not found`},
		{"a namespace that is a path", signs(`"namespace":"shop"`, `"namespace":"shop/cart/.."`), `serviceaccounts "cart" not found`},
		{"an expiry before time", signs(`"exp":`, `"exp":-1,"x":`), malformed},
		{"an expiry beyond reason", signs(`"exp":`, `"exp":9223372036854775807,"x":`), malformed},
		{"an expiry that wraps", signs(`"exp":`, `"exp":18446744073709551615,"x":`), malformed},
		{"an expiry with an exponent", signs(`"exp":`, `"exp":1e400,"x":`), malformed},
		{"an expiry in words", signs(`"exp":`, `"exp":"never","x":`), malformed},
		{"no expiry", signs(`"exp":`, `"x":`), token.ErrExpired.Error()},
		{"a beginning beyond reason", signs(`"nbf":`, `"nbf":9223372036854775807,"x":`), malformed},
		{"an account that was made again", func(a *target) string {
			return a.signedPayload(a.with(`"uid":"cart-uid"`, `"uid":"cart-uid-of-before"`))
		}, "service account UID (cart-uid) does not match claim (cart-uid-of-before)"},
		{"claims of old alone", func(a *target) string {
			return a.signedPayload(`{"iss":"` + api + `","aud":["` + api + `"],"exp":4000000000,"sub":"system:serviceaccount:shop:cart",` + claimsOfOld + `}`)
		}, ` "" not found`},
		{"claims of old, and a binding", func(a *target) string {
			return a.signedPayload(`{"iss":"kubernetes/serviceaccount",` + claimsOfOld + `,` + a.claims[strings.Index(a.claims, `"kubernetes.io":`):])
		}, refused},
		{"a key that was retired", func(a *target) string {
			retired := newSigner(a.t)
			a.keys.Replace(newRing(a.t, retired, a.ring.Keys()...))
			compact, err := retired.Sign(a.t.Context(), []byte(a.claims))
			if err != nil {
				a.t.Fatal(err)
			}
			if got := a.verdict(a.t.Context(), compact); got != "" {
				a.t.Fatalf("before its key was retired, the token was refused: %s", got)
			}
			a.keys.Replace(a.ring)
			return compact
		}, noKeys},
	}
}

// refused is any verdict but a good one.
const refused = ""

// claimsOfOld are those of a token kept in a Secret.
const claimsOfOld = `"kubernetes.io/serviceaccount/namespace":"shop","kubernetes.io/serviceaccount/secret.name":"seal",` +
	`"kubernetes.io/serviceaccount/service-account.name":"cart","kubernetes.io/serviceaccount/service-account.uid":"cart-uid"`

func TestAttacksFail(t *testing.T) {
	t.Parallel()
	a := newTarget(t)
	for _, attack := range forgeries() {
		a.withstands(t, attack)
	}
	if asked := a.memory.asked() + a.store.asked(); asked != 0 {
		t.Errorf("%d objects were looked up for tokens that nobody signed", asked)
	}
	for _, attack := range oddities() {
		a.withstands(t, attack)
	}
}

// withstands makes the attack twice: the first must not prepare the second.
func (a *target) withstands(t *testing.T, attack attack) {
	t.Helper()
	compact := attack.token(a)
	for range 2 {
		switch got := a.verdict(t.Context(), compact); {
		case got == "":
			t.Errorf("%s: accepted", attack.name)
		case !strings.HasSuffix(got, attack.want):
			t.Errorf("%s: %q, want %q", attack.name, got, attack.want)
		}
	}
}

// What the attacks start from is good, or their failure would show nothing.
func TestWhatIsAttackedIsGood(t *testing.T) {
	t.Parallel()
	a := newTarget(t)
	r, s := a.own()
	for name, compact := range map[string]string{
		"the attacker's token": a.header + "." + a.payload + "." + a.signature,
		"one of the RSA key":   a.rs256(func(text []byte) []byte { return a.pkcs1(crypto.SHA256, text) }),
		// Of an ECDSA signature anyone can make the second one that there is. RFC 7518 allows both, so nothing may
		// depend on a token having one spelling only: a revocation goes by the claims.
		"the other half of the signatures": a.numbers(r, new(big.Int).Sub(elliptic.P256().Params().N, s)),
		// They say nothing against what the token is: who reads them does not read this.
		"claims of old beside the new": a.signedPayload(strings.Replace(a.claims, `{`, `{`+strings.Replace(claimsOfOld, `"cart"`, `"boss"`, 1)+`,`, 1)),
	} {
		response, ok, err := a.AuthenticateToken(t.Context(), compact)
		if !ok || err != nil {
			t.Errorf("%s is refused: %v", name, err)
			continue
		}
		if who := response.User.GetName(); who != "system:serviceaccount:shop:cart" {
			t.Errorf("%s is that of %s", name, who)
		}
	}
}
