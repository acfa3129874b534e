// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// vectors are published signatures; ../token/testdata/vectors/README.md tells whose.
type vectors struct {
	TestGroups []struct {
		Comment         string
		Public, Private json.RawMessage
		Tests           []struct {
			ID      int `json:"tcId"`
			Comment string
			JWS     json.RawMessage
			Result  string
		}
	}
}

// keysOf are the keys of a group that an issuer could publish: one, or a set.
func keysOf(t *testing.T, raw json.RawMessage) keySet {
	t.Helper()
	document := []byte(raw)
	if !strings.Contains(string(raw), `"keys"`) {
		document = fmt.Appendf(nil, `{"keys":[%s]}`, raw)
	}
	set, err := parseKeySet(document)
	if err != nil {
		return nil
	}
	return set
}

// checkVector checks a signature, whatever it signs: what is signed in a vector is mostly no token.
func checkVector(set keySet, compact string) bool {
	jws, err := jose.ParseSignedCompact(compact, algorithms)
	if err != nil {
		return false
	}
	p := &parsed{payload: jws.UnsafePayloadWithoutVerification()}
	p.header.Algorithm, p.header.KeyID = jws.Signatures[0].Header.Algorithm, jws.Signatures[0].Header.KeyID
	return checkSignature(compact, p, set[p.header.KeyID]) == nil
}

// Of the signatures that Project Wycheproof has published, none is accepted that it calls invalid, but for those of a key
// whose modulus has a flaw: a verifier that reads an issuer's keys takes its word that they are its own.
func TestPublishedSignaturesAreNotAcceptedIfTheyAreBad(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"wycheproof.json": 10, "wycheproof_keys.json": 1} {
		data, err := os.ReadFile(filepath.Join("..", "token", "testdata", "vectors", name))
		if err != nil {
			t.Fatal(err)
		}
		var read vectors
		if err := json.Unmarshal(data, &read); err != nil {
			t.Fatal(err)
		}
		good := 0
		for _, group := range read.TestGroups {
			raw := group.Public
			if raw == nil {
				raw = group.Private // a shared secret
			}
			set := keysOf(t, raw)
			for _, v := range group.Tests {
				var compact string
				if json.Unmarshal(v.JWS, &compact) != nil || !checkVector(set, compact) || group.Comment == "jws_rsa_roca_key" {
					continue
				}
				good++
				if v.Result != "valid" {
					t.Errorf("%s: %s, %d %s is accepted", name, group.Comment, v.ID, v.Comment)
				}
			}
		}
		if good != want {
			t.Errorf("%s: %d are accepted, want %d", name, good, want)
		}
	}
}
