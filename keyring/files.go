// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// howToMake is the mend for a signing key that cannot be used.
const howToMake = " (make one with: openssl ecparam -name prime256v1 -genkey -noout -out FILE)"

// LoadSigner reads the first private key in a PEM file. Errors name the file
// and the mend.
func LoadSigner(path string) (*LocalSigner, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading signing key: %w%s", err, mend(err))
	}
	private, err := DecodePrivate(data)
	if err != nil {
		return nil, fmt.Errorf("signing key file %q: %w%s", path, err, howToMake)
	}
	signer, err := NewLocalSigner(private)
	if err != nil {
		return nil, fmt.Errorf("signing key file %q: %w%s", path, err, howToMake)
	}
	return signer, nil
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

// LoadKeys reads all keys in a PEM file: public keys, certificates, and the
// public halves of private keys. Errors name the file and the mend.
func LoadKeys(path string) ([]Key, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading verification keys: %w%s", err, mend(err))
	}
	keys, err := DecodePublic(data)
	if err != nil {
		return nil, fmt.Errorf("verification key file %q: %w", path, err)
	}
	return keys, nil
}

// LoadOrGenerate reads the signing key in a file, and makes a new one if there
// is no such file. It never writes over a file that it cannot use, for tokens
// signed with what it holds may be about. One process at a time may call it
// for a path; the folder must exist.
func LoadOrGenerate(path string) (*LocalSigner, error) {
	signer, err := LoadSigner(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return signer, err
	}
	private, err := Generate()
	if err != nil {
		return nil, fmt.Errorf("generating signing key: %w", err)
	}
	data, err := EncodePrivate(private)
	if err != nil {
		return nil, err
	}
	if err := writeSecret(path, data); err != nil {
		return nil, fmt.Errorf("writing new signing key %q: %w", path, err)
	}
	return NewLocalSigner(private)
}

// writeSecret writes a file that only its owner may read, so that after a
// crash at any point the path holds all of it or does not exist:
//
//  1. write a file of another name, mode 0600 from the start, and sync it;
//  2. rename it to the path;
//  3. sync the folder, so that the name outlives a crash, too.
func writeSecret(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
