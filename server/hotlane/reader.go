// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

// reader reads JSON of the plainest kind: objects and lists, strings of ASCII
// without escapes, small numbers, null. It reads less than a parser of JSON does,
// on purpose: whatever is odd about a body (a key twice, a key in other letters,
// an escape) is for the general path to judge. After the first oddity it is bad,
// and what it returns means nothing.
type reader struct {
	data []byte
	at   int
	// first is set between the beginning of an object or list and its first
	// element.
	first bool
	bad   bool
}

// keys are the keys of an object that were read.
type keys uint32

// once notes that the key with this number was read; twice is odd.
func (r *reader) once(seen *keys, number uint) {
	if *seen&(1<<number) != 0 {
		r.bad = true
	}
	*seen |= 1 << number
}

// some takes an object without keys for odd: whether it counts as set depends.
func (r *reader) some(seen keys) {
	if seen == 0 {
		r.bad = true
	}
}

func (r *reader) skipSpace() {
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
func (r *reader) take(want byte) {
	r.skipSpace()
	if r.at >= len(r.data) || r.data[r.at] != want {
		r.bad = true
		return
	}
	r.at++
}

// open begins an object or a list.
func (r *reader) open(bracket byte) {
	r.take(bracket)
	r.first = true
}

// more tells whether the object or list, which bracket ends, goes on, and stands
// before the next element if it does.
func (r *reader) more(bracket byte) bool {
	if r.bad {
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
	return !r.bad
}

// key reads a key and the colon after it.
func (r *reader) key() []byte {
	key := r.text()
	r.take(':')
	return key
}

// text reads a string.
func (r *reader) text() []byte {
	r.take('"')
	for start := r.at; !r.bad && r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; {
		case c == '"':
			r.at++
			return r.data[start : r.at-1]
		case c < ' ' || c == '\\' || c > '~':
			r.bad = true
		}
	}
	r.bad = true
	return nil
}

// string reads a string that stays. An empty one is odd: whether it is as good
// as none depends.
func (r *reader) string() string {
	text := r.text()
	if len(text) == 0 {
		r.bad = true
	}
	return string(text)
}

// constant reads a string that can only be this one.
func (r *reader) constant(want string) {
	if string(r.text()) != want {
		r.bad = true
	}
}

// strings reads a list of strings, of which there is at least one.
func (r *reader) strings() []string {
	list := make([]string, 0, 1)
	for r.open('['); r.more(']'); {
		list = append(list, r.string())
	}
	if len(list) == 0 {
		r.bad = true
	}
	return list
}

// null reads null.
func (r *reader) null() { r.word("null") }

// maxDigits keeps numbers far from the bounds of their type.
const maxDigits = 15

// number reads a whole number that is not negative.
func (r *reader) number() int64 {
	r.skipSpace()
	var n int64
	start := r.at
	for r.at < len(r.data) && r.data[r.at] >= '0' && r.data[r.at] <= '9' && r.at-start < maxDigits {
		n = n*10 + int64(r.data[r.at]-'0')
		r.at++
	}
	if r.at == start || r.data[start] == '0' {
		r.bad = true
	}
	return n
}

// end is ok if nothing was odd and nothing is left.
func (r *reader) end() bool {
	r.skipSpace()
	return !r.bad && r.at == len(r.data)
}

// word reads a word without quotes.
func (r *reader) word(want string) {
	r.skipSpace()
	if r.at+len(want) > len(r.data) || string(r.data[r.at:r.at+len(want)]) != want {
		r.bad = true
		return
	}
	r.at += len(want)
}
