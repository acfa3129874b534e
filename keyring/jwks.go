// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	strictjson "github.com/go-jose/go-jose/v4/json"
)

// isKeySet tells a JWKS document from PEM data: JSON objects begin with a brace.
func isKeySet(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{"))
}

// EncodeKeySet is the JWKS document (RFC 7517, section 5) of the keys.
func EncodeKeySet(keys []Key) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public, KeyID: key.ID, Algorithm: string(key.Algorithm), Use: "sig"})
	}
	data, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("encoding key set: %w", err)
	}
	return data, nil
}

// DecodeKeySet reads every key of a JWKS document. A key it cannot use is an
// error, not a gap: its tokens would fail without a reason. A key without an id
// gets the one that Kubernetes would give it.
func DecodeKeySet(data []byte) ([]Key, error) {
	var set struct {
		Keys []strictjson.RawMessage `json:"keys"`
	}
	// Strictly: of two lists of keys, two readers might take two different ones.
	if err := strictjson.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("not a JWKS document: %w", err)
	}
	var keys []Key
	for i, raw := range set.Keys {
		key, err := decodeJWK(raw)
		if err != nil {
			return nil, fmt.Errorf("key %d of the JWKS document: %w", i+1, err)
		}
		if slices.ContainsFunc(keys, func(k Key) bool { return k.ID == key.ID && !k.Equal(key) }) {
			return nil, fmt.Errorf("key %d of the JWKS document: another key has the id %q", i+1, key.ID)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the JWKS document has no keys")
	}
	return keys, nil
}

func decodeJWK(data []byte) (Key, error) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(data); err != nil {
		return Key{}, errors.New("it is damaged, or of an unknown type") // the library's words may quote the key
	}
	if !jwk.IsPublic() {
		return Key{}, errors.New("it is not public: take the document that the issuer publishes")
	}
	if jwk.Use != "" && jwk.Use != "sig" {
		return Key{}, fmt.Errorf("its use is %q, want \"sig\"", jwk.Use)
	}
	if err := checkOperations(data); err != nil {
		return Key{}, err
	}
	key, err := NewKey(jwk.Key)
	if err != nil {
		return Key{}, err
	}
	if jwk.Algorithm != "" && jwk.Algorithm != string(key.Algorithm) {
		return Key{}, fmt.Errorf("it is for the algorithm %q, and such a key is used for %s only", jwk.Algorithm, key.Algorithm)
	}
	if jwk.KeyID != "" {
		key.ID = jwk.KeyID
	}
	return key, nil
}

// checkOperations refuses a key that is not there to verify: RFC 7517, section
// 4.3. The library does not read what a key may do.
func checkOperations(data []byte) error {
	var jwk struct {
		Operations []string `json:"key_ops"`
	}
	if err := json.Unmarshal(data, &jwk); err != nil {
		return errors.New("its key_ops are no list of strings")
	}
	if jwk.Operations != nil && !slices.Contains(jwk.Operations, "verify") {
		return fmt.Errorf("its key_ops are %q, want \"verify\" among them", jwk.Operations)
	}
	return nil
}
