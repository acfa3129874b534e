// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// writer writes JSON as encoding/json does.
type writer struct {
	buf []byte
	// comma is set when the next element needs one before it.
	comma bool
}

func (w *writer) open(bracket byte) {
	w.buf = append(w.buf, bracket)
	w.comma = false
}

func (w *writer) close(bracket byte) {
	w.buf = append(w.buf, bracket)
	w.comma = true
}

func (w *writer) separate() {
	if w.comma {
		w.buf = append(w.buf, ',')
	}
	w.comma = true
}

// key writes a key, which needs no escapes.
func (w *writer) key(key string) {
	w.separate()
	w.buf = append(append(append(w.buf, '"'), key...), '"', ':')
}

// object begins the object that is the value of key.
func (w *writer) object(key string) {
	w.key(key)
	w.open('{')
}

// string writes a string and its key, but nothing of an empty one.
func (w *writer) string(key, value string) {
	if value != "" {
		w.key(key)
		w.buf = appendString(w.buf, value)
	}
}

// strings writes a list and its key, but nothing of an empty one.
func (w *writer) strings(key string, values []string) {
	if len(values) > 0 {
		w.key(key)
		w.list(values)
	}
}

func (w *writer) list(values []string) {
	w.open('[')
	for _, value := range values {
		w.separate()
		w.buf = appendString(w.buf, value)
	}
	w.close(']')
}

// bool writes a truth and its key, but nothing of what is not true.
func (w *writer) bool(key string, value bool) {
	if value {
		w.key(key)
		w.buf = append(w.buf, "true"...)
	}
}

func (w *writer) number(key string, value int64) {
	w.key(key)
	w.buf = strconv.AppendInt(w.buf, value, 10)
}

// time writes a time as metav1.Time does.
func (w *writer) time(key string, value metav1.Time) {
	w.key(key)
	w.buf = append(w.buf, '"')
	w.buf = value.UTC().AppendFormat(w.buf, time.RFC3339)
	w.buf = append(w.buf, '"')
}

// raw writes JSON and its key.
func (w *writer) raw(key string, value []byte) {
	w.key(key)
	w.buf = append(w.buf, value...)
}

// writeExtra writes what else is known of a user, sorted by name, but nothing of
// no extra at all.
func writeExtra[V ~[]string](w *writer, extra map[string]V) {
	if len(extra) == 0 {
		return
	}
	w.object("extra")
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		w.separate()
		w.buf = append(appendString(w.buf, name), ':')
		w.list(extra[name])
	}
	w.close('}')
}

func appendString(buf []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			return appendOddString(buf, s)
		}
	}
	return append(append(append(buf, '"'), s...), '"')
}

// plain are the characters that encoding/json writes as they are.
var plain = func() (plain [256]bool) {
	for c := ' '; c <= '~'; c++ {
		plain[c] = !strings.ContainsRune("\"\\<>&", c)
	}
	return plain
}()

func appendOddString(buf []byte, s string) []byte {
	escaped, _ := json.Marshal(s) // a string has no way to fail
	return append(buf, escaped...)
}
