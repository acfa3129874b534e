// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package external

import (
	"path/filepath"
	"testing"
)

// The signature is verified before a token goes out; this is what that costs,
// and what it costs together with asking a signer at a socket.
func BenchmarkSign(b *testing.B) {
	f, _ := newFake(b)
	endpoint := filepath.Join(b.TempDir(), "s")
	listen(b, f, endpoint)
	s := connectTo(b, endpoint)
	compact, err := s.Sign(b.Context(), []byte(`{"sub":"a"}`))
	if err != nil {
		b.Fatal(err)
	}
	key := s.Ring().Keys()[0]
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if err := verify(compact, key); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Sign(b.Context(), []byte(`{"sub":"a"}`)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
