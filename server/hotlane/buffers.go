// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"slices"
	"sync"
)

// buffers are for bodies on their way in and out.
type buffers struct{ pool sync.Pool }

// buffer belongs to whoever has taken it.
type buffer struct{ bytes []byte }

// bufferSize, in bytes, is more than most questions and answers have.
const bufferSize = 4 << 10

func (b *buffers) take() *buffer {
	if used, ok := b.pool.Get().(*buffer); ok {
		return used
	}
	return &buffer{make([]byte, 0, bufferSize)}
}

// give takes a buffer back, of which nothing may be in use any more. A large one
// is left to the garbage collector: net/http copies what is smaller than its own
// buffer, and may be busy with the rest after the stream has ended.
func (b *buffers) give(used *buffer) {
	if len(used.bytes) < bufferSize && cap(used.bytes) <= maxBody {
		b.pool.Put(used)
	}
}

// of is the buffer with room for n bytes, whose content means nothing.
func (b *buffer) of(n int) []byte {
	b.bytes = slices.Grow(b.bytes[:0], n)[:n]
	return b.bytes
}
