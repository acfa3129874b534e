// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring_test

import (
	"crypto"
	"crypto/elliptic"
	"os"
	"path/filepath"
	"testing"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/keyring/signertest"
)

func TestKeysInFilesSignAsSignersDo(t *testing.T) {
	t.Parallel()
	for name, private := range map[string]crypto.Signer{
		"ES256": ecKey(t, elliptic.P256()), "ES384": ecKey(t, elliptic.P384()), "ES512": ecKey(t, elliptic.P521()), "RS256": rsaKey(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signertest.Run(t, func(t *testing.T) keyring.Signer {
				data, err := keyring.EncodePrivate(private)
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(t.TempDir(), "sa.key")
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				signer, err := keyring.LoadSigner(path)
				if err != nil {
					t.Fatal(err)
				}
				return signer
			})
		})
	}
}
