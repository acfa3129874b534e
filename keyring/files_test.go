// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/keyring"
)

// block is PEM of the given type around what an encoder returned.
func block(t testing.TB, blockType string) func(der []byte, err error) []byte {
	return func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
	}
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sa.key")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrivateKeysAreReadInEveryUsualForm(t *testing.T) {
	t.Parallel()
	p256, p384, p521 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), ecKey(t, elliptic.P521())
	params := block(t, "EC PARAMETERS")([]byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}, nil)
	ec := block(t, "EC PRIVATE KEY")
	pkcs8 := block(t, "PRIVATE KEY")
	tests := map[string]struct {
		data []byte
		want crypto.Signer
	}{
		"EC P-256":                        {ec(x509.MarshalECPrivateKey(p256)), p256},
		"EC P-384":                        {ec(x509.MarshalECPrivateKey(p384)), p384},
		"EC P-521":                        {ec(x509.MarshalECPrivateKey(p521)), p521},
		"EC in PKCS #8":                   {pkcs8(x509.MarshalPKCS8PrivateKey(p256)), p256},
		"RSA":                             {block(t, "RSA PRIVATE KEY")(x509.MarshalPKCS1PrivateKey(rsaKey()), nil), rsaKey()},
		"RSA in PKCS #8":                  {pkcs8(x509.MarshalPKCS8PrivateKey(rsaKey())), rsaKey()},
		"EC after EC PARAMETERS":          {append(params, ec(x509.MarshalECPrivateKey(p256))...), p256},
		"EC after words":                  {append([]byte("the key:\n"), ec(x509.MarshalECPrivateKey(p256))...), p256},
		"the first of two":                {append(ec(x509.MarshalECPrivateKey(p384)), ec(x509.MarshalECPrivateKey(p256))...), p384},
		"EC after a public key":           {append(block(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(rsaKey().Public())), ec(x509.MarshalECPrivateKey(p256))...), p256},
		"as written by EncodePrivate":     {encoded(t, p256), p256},
		"RSA as written":                  {encoded(t, rsaKey()), rsaKey()},
		"EC with the lines of a DOS file": {bytes.ReplaceAll(encoded(t, p256), []byte("\n"), []byte("\r\n")), p256},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, test.data)
			signer, err := keyring.LoadSigner(path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := keyring.NewKey(test.want.Public())
			if err != nil {
				t.Fatal(err)
			}
			if got := signer.Keys(); len(got) != 1 || got[0].ID != want.ID || got[0].Algorithm != want.Algorithm {
				t.Errorf("keys %v, want %s", ids(got), want.ID)
			}
			compact, err := signer.Sign(t.Context(), []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			verify(t, compact, want)

			public, err := keyring.LoadKeys(path)
			if err != nil {
				t.Fatal(err)
			}
			if public[len(public)-1].ID != want.ID && public[0].ID != want.ID {
				t.Errorf("public keys %v lack %s", ids(public), want.ID)
			}
		})
	}
}

func encoded(t *testing.T, private crypto.Signer) []byte {
	t.Helper()
	data, err := keyring.EncodePrivate(private)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAFileMayHoldManyKeysOfAllKinds(t *testing.T) {
	t.Parallel()
	var data []byte
	var want []string
	for _, name := range []string{"rs256-pkcs1", "es256-certificate", "es384", "es512"} {
		file, err := os.ReadFile(filepath.Join("testdata", name+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		data = append(append(data, "# "+name+"\n"...), file...)
		want = append(want, load(t, name).ID)
	}
	// Kubernetes also reads PKIX under the name RSA PUBLIC KEY.
	data = append(data, block(t, "RSA PUBLIC KEY")(x509.MarshalPKIXPublicKey(rsaKey().Public()))...)
	private := signerOf(t, rsaKey())
	want = append(want, private.Keys()[0].ID)

	keys, err := keyring.LoadKeys(write(t, data))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, ids(keys)); diff != "" {
		t.Errorf("keys differ (-want +got):\n%s", diff)
	}
}

func TestFilesThatCannotBeUsedAreNamedWithTheMend(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224 := ecKey(t, elliptic.P224())
	public, err := os.ReadFile(filepath.Join("testdata", "es256.pem"))
	if err != nil {
		t.Fatal(err)
	}
	const openssl = "openssl ecparam -name prime256v1 -genkey"
	tests := map[string]struct {
		data            []byte
		private, public string // what the errors say; empty: there is none
	}{
		"empty":             {nil, "no private key, and no PEM at all", "no key, and no PEM at all"},
		"words":             {[]byte("not a key"), "no private key, and no PEM at all", "no key, and no PEM at all"},
		"a public key":      {public, "no private key among its PEM blocks (PUBLIC KEY): want a PEM block EC PRIVATE KEY", ""},
		"encrypted":         {block(t, "ENCRYPTED PRIVATE KEY")([]byte("x"), nil), "among its PEM blocks (ENCRYPTED PRIVATE KEY)", "among its PEM blocks (ENCRYPTED PRIVATE KEY)"},
		"damaged":           {block(t, "EC PRIVATE KEY")([]byte("x"), nil), "PEM block 1 (EC PRIVATE KEY): the key is damaged", "PEM block 1 (EC PRIVATE KEY): the key is damaged"},
		"a damaged second":  {append(bytes.Clone(public), block(t, "PUBLIC KEY")([]byte("x"), nil)...), "no private key", "PEM block 2 (PUBLIC KEY)"},
		"a damaged cert":    {block(t, "CERTIFICATE")([]byte("x"), nil), "no private key", "PEM block 1 (CERTIFICATE)"},
		"Ed25519":           {block(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(edwards)), "ed25519.PublicKey cannot sign tokens", "ed25519.PublicKey cannot sign tokens"},
		"Ed25519, public":   {block(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(edwards.Public())), "no private key", "ed25519.PublicKey cannot sign tokens"},
		"P-224":             {block(t, "EC PRIVATE KEY")(x509.MarshalECPrivateKey(p224)), "use P-256, P-384 or P-521", "use P-256, P-384 or P-521"},
		"EC as RSA, public": {block(t, "RSA PUBLIC KEY")(x509.MarshalPKIXPublicKey(p224.Public())), "no private key", "is no RSA key"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, test.data)
			signer, err := keyring.LoadSigner(path)
			if signer != nil {
				t.Error("a signer all the same")
			}
			says(t, err, test.private, path, openssl)
			keys, err := keyring.LoadKeys(path)
			if test.public == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if keys != nil {
				t.Error("keys all the same")
			}
			says(t, err, test.public, path)
		})
	}
}

func says(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestAFileThatIsMissingIsNamedWithTheMend(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.pem")
	_, err := keyring.LoadSigner(path)
	says(t, err, "reading signing key", path, "make one with: openssl")
	_, err = keyring.LoadKeys(path)
	says(t, err, "reading verification keys", path)
}

func TestKeysAreMadeForEachAlgorithm(t *testing.T) {
	t.Parallel()
	for _, algorithm := range keyring.Algorithms() {
		private, err := keyring.Generate(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		key := signerOf(t, private).Keys()[0]
		if key.Algorithm != algorithm {
			t.Errorf("a key for %s signs with %s", algorithm, key.Algorithm)
		}
		if strings.HasPrefix(key.ID, "-") {
			t.Errorf("the id %q looks like a flag", key.ID)
		}
	}
	private, err := keyring.Generate("HS256")
	if private != nil {
		t.Error("a key for HS256")
	}
	says(t, err, `"HS256"`, "ES256 ES384 ES512 RS256")
}

// What is accepted means the same after the way back; what is refused is nil.
func FuzzKeyFiles(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.pem"))
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	private := ecKey(f, elliptic.P256())
	f.Add(block(f, "EC PRIVATE KEY")(x509.MarshalECPrivateKey(private)))
	f.Add(block(f, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(private)))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := keyring.DecodePublic(data)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, error %v", len(keys), err)
		}
		for _, key := range keys {
			again, err := keyring.DecodePublic(block(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(key.Public)))
			if err != nil || len(again) != 1 || again[0].ID != key.ID || !again[0].Equal(key) {
				t.Fatalf("a public key changed on the way back: %v", err)
			}
		}
		private, err := keyring.DecodePrivate(data)
		if (err == nil) != (private != nil) {
			t.Fatalf("private key %T, error %v", private, err)
		}
		if ec, ok := private.(*ecdsa.PrivateKey); ok {
			again, err := keyring.DecodePrivate(encoded(t, ec))
			if err != nil || !ec.Equal(again) {
				t.Fatalf("a private key changed on the way back: %v", err)
			}
		}
	})
}
