// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// The types of PEM blocks that hold keys, as OpenSSL and Kubernetes write them.
const (
	blockEC          = "EC PRIVATE KEY"
	blockRSA         = "RSA PRIVATE KEY"
	blockPKCS8       = "PRIVATE KEY"
	blockPublic      = "PUBLIC KEY"
	blockRSAPublic   = "RSA PUBLIC KEY"
	blockCertificate = "CERTIFICATE"
)

// EncodePrivate is the private key as PEM: EC PRIVATE KEY for an EC key, which
// is what Kubernetes writes, PRIVATE KEY (PKCS #8) for any other.
func EncodePrivate(private crypto.Signer) ([]byte, error) {
	blockType, encode := blockPKCS8, func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(private) }
	if ec, ok := private.(*ecdsa.PrivateKey); ok {
		blockType, encode = blockEC, func() ([]byte, error) { return x509.MarshalECPrivateKey(ec) }
	}
	der, err := encode()
	if err != nil {
		return nil, fmt.Errorf("encoding a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}), nil
}

// EncodePublic is the public key as PEM: PUBLIC KEY (PKIX).
func EncodePublic(key Key) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public)
	if err != nil {
		return nil, fmt.Errorf("encoding a public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockPublic, Bytes: der}), nil
}

// DecodePrivate reads the first private key in PEM data. Blocks of other types
// are passed over (OpenSSL writes EC PARAMETERS before a key).
func DecodePrivate(data []byte) (crypto.Signer, error) {
	var seen []string
	for i, block := range blocks(data) {
		private, err := privateKey(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d (%s): %w", i+1, block.Type, err)
		}
		if private != nil {
			return private, nil
		}
		seen = append(seen, block.Type)
	}
	return nil, fmt.Errorf("%s: want a PEM block %s, %s or %s",
		found("no private key", seen), blockEC, blockRSA, blockPKCS8)
}

// DecodePublic reads every key in PEM data: public keys, those of
// certificates, and the public halves of private keys. A key it cannot use is
// an error, not a gap: its tokens would fail without a reason.
func DecodePublic(data []byte) ([]Key, error) {
	var keys []Key
	var seen []string
	for i, block := range blocks(data) {
		public, err := publicKey(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d (%s): %w", i+1, block.Type, err)
		}
		seen = append(seen, block.Type)
		if public == nil {
			continue
		}
		key, err := NewKey(public)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d (%s): %w", i+1, block.Type, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: want PEM blocks %s, %s or %s, or a private key",
			found("no key", seen), blockPublic, blockRSAPublic, blockCertificate)
	}
	return keys, nil
}

func blocks(data []byte) []*pem.Block {
	var list []*pem.Block
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return list
		}
		list, data = append(list, block), rest
	}
}

func found(what string, seen []string) string {
	if len(seen) == 0 {
		return what + ", and no PEM at all"
	}
	return what + " among its PEM blocks (" + strings.Join(seen, ", ") + ")"
}

// privateKey is the key in a block, or nil if the block is of another kind.
func privateKey(block *pem.Block) (crypto.Signer, error) {
	switch block.Type {
	case blockEC:
		key, err := x509.ParseECPrivateKey(block.Bytes)
		return asSigner(key, err)
	case blockRSA:
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		return asSigner(key, err)
	case blockPKCS8:
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		return asSigner(key, err)
	}
	return nil, nil
}

// asSigner narrows what the parsers return, and takes care that an error comes
// with a nil that is equal to nil.
func asSigner(key any, err error) (crypto.Signer, error) {
	if err != nil {
		return nil, errors.New("the key is damaged, or encrypted")
	}
	private, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return private, nil
}

// publicKey is the key in a block, or nil if the block is of another kind.
func publicKey(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case blockPublic:
		return x509.ParsePKIXPublicKey(block.Bytes)
	case blockRSAPublic:
		return rsaPublicKey(block.Bytes)
	case blockCertificate:
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	}
	private, err := privateKey(block)
	if private == nil || err != nil {
		return nil, err
	}
	return private.Public(), nil
}

// rsaPublicKey reads PKCS #1, which the block's name stands for, or PKIX,
// which Kubernetes reads under that name.
func rsaPublicKey(der []byte) (crypto.PublicKey, error) {
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	if _, ok := key.(*rsa.PublicKey); !ok {
		return nil, fmt.Errorf("a key of type %T is no RSA key", key)
	}
	return key, nil
}
