// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// howToMake is the mend for a signing key that cannot be used.
const howToMake = " (make one with: openssl ecparam -name prime256v1 -genkey -noout -out FILE)"

// LoadSigner reads the first private key in a PEM file. Errors name the file
// and the mend.
func LoadSigner(path string) (*LocalSigner, error) {
	private, err := LoadPrivate(path)
	if err != nil {
		return nil, err
	}
	signer, err := NewLocalSigner(private)
	if err != nil {
		return nil, fmt.Errorf("signing key file %q: %w%s", path, err, howToMake)
	}
	return signer, nil
}

// LoadPrivate reads the first private key in a PEM file. Errors name the file
// and the mend; one is fs.ErrNotExist if there is no file.
func LoadPrivate(path string) (crypto.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading signing key: %w%s", err, mend(err))
	}
	private, err := DecodePrivate(data)
	if err != nil {
		return nil, fmt.Errorf("signing key file %q: %w%s", path, err, howToMake)
	}
	return private, nil
}

// mend is what to do about a file that cannot be read, if that is known.
func mend(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return howToMake
	case errors.Is(err, fs.ErrPermission):
		return " (give the file to the user that the server runs as)"
	}
	return ""
}

// LoadKeys reads all keys in a file: of PEM public keys, certificates, and the
// public halves of private keys; or the keys of a JWKS document, as an issuer
// publishes them. Errors name the file and the mend.
func LoadKeys(path string) ([]Key, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading verification keys: %w%s", err, mend(err))
	}
	decode := DecodePublic
	if isKeySet(data) {
		decode = DecodeKeySet
	}
	keys, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("verification key file %q: %w", path, err)
	}
	return keys, nil
}
