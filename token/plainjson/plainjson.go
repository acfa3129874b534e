// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plainjson reads JSON of the plainest kind: objects and lists, strings of
// ASCII without escapes, small numbers, null. It reads less than a parser of JSON
// does, on purpose: whatever is odd about a text (a key twice, an escape, an empty
// string) is for a parser to judge, by the rules of whoever asks. What it reads, it
// reads as any parser would, and in a tenth of the time: it knows no types and
// makes nothing but the strings that are kept.
package plainjson

// Reader reads one text from its beginning to its end. After the first oddity it
// has refused the text, and what it returns means nothing.
type Reader struct {
	data []byte
	at   int
	// first is set between the beginning of an object or list and its first
	// element.
	first   bool
	refused bool
}

// NewReader returns a reader of data, which stays the caller's and is not changed.
func NewReader(data []byte) Reader { return Reader{data: data} }

// Refuse takes the text for odd.
func (r *Reader) Refuse() { r.refused = true }

// Keys are the keys of an object that were read.
type Keys uint32

// Once notes that the key with this number was read; twice is odd.
func (r *Reader) Once(seen *Keys, number uint) {
	if *seen&(1<<number) != 0 {
		r.refused = true
	}
	*seen |= 1 << number
}

// Some takes an object without keys for odd: whether it counts as set depends.
func (r *Reader) Some(seen Keys) {
	if seen == 0 {
		r.refused = true
	}
}

func (r *Reader) skipSpace() {
	for r.at < len(r.data) {
		switch r.data[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// take reads one byte of structure.
func (r *Reader) take(want byte) {
	r.skipSpace()
	if r.at >= len(r.data) || r.data[r.at] != want {
		r.refused = true
		return
	}
	r.at++
}

// Open begins an object or a list.
func (r *Reader) Open(bracket byte) {
	r.take(bracket)
	r.first = true
}

// More tells whether the object or list, which bracket ends, goes on, and stands
// before the next element if it does.
func (r *Reader) More(bracket byte) bool {
	if r.refused {
		return false
	}
	r.skipSpace()
	if r.at < len(r.data) && r.data[r.at] == bracket {
		r.at++
		r.first = false
		return false
	}
	if !r.first {
		r.take(',')
	}
	r.first = false
	return !r.refused
}

// Key reads a key and the colon after it.
func (r *Reader) Key() []byte {
	key := r.Text()
	r.take(':')
	return key
}

// Text reads a string.
func (r *Reader) Text() []byte {
	r.take('"')
	if r.refused {
		return nil
	}
	text := r.data[r.at:]
	for i, c := range text {
		if c == '"' {
			r.at += i + 1
			return text[:i]
		}
		if c < ' ' || c == '\\' || c > '~' {
			break
		}
	}
	r.refused = true
	return nil
}

// String reads a string that stays. An empty one is odd: whether it is as good
// as none depends.
func (r *Reader) String() string {
	text := r.Text()
	if len(text) == 0 {
		r.refused = true
	}
	return string(text)
}

// Constant reads a string that can only be this one.
func (r *Reader) Constant(want string) {
	if string(r.Text()) != want {
		r.refused = true
	}
}

// Strings reads a list of strings, of which there is at least one.
func (r *Reader) Strings() []string {
	list := make([]string, 0, 1)
	for r.Open('['); r.More(']'); {
		list = append(list, r.String())
	}
	if len(list) == 0 {
		r.refused = true
	}
	return list
}

// Next is the byte with which the next value begins, or 0 at the end.
func (r *Reader) Next() byte {
	r.skipSpace()
	if r.at < len(r.data) {
		return r.data[r.at]
	}
	return 0
}

// Null reads null.
func (r *Reader) Null() { r.Word("null") }

// maxDigits keeps numbers far from the bounds of their type.
const maxDigits = 15

// Number reads a whole number that is not negative.
func (r *Reader) Number() int64 {
	r.skipSpace()
	var n int64
	start := r.at
	for r.at < len(r.data) && r.data[r.at] >= '0' && r.data[r.at] <= '9' && r.at-start < maxDigits {
		n = n*10 + int64(r.data[r.at]-'0')
		r.at++
	}
	if r.at == start || r.data[start] == '0' {
		r.refused = true
	}
	return n
}

// End is ok if nothing was odd and nothing is left.
func (r *Reader) End() bool {
	r.skipSpace()
	return !r.refused && r.at == len(r.data)
}

// Word reads a word without quotes.
func (r *Reader) Word(want string) {
	r.skipSpace()
	if r.at+len(want) > len(r.data) || string(r.data[r.at:r.at+len(want)]) != want {
		r.refused = true
		return
	}
	r.at += len(want)
}
