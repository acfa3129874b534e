// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"k8s.io/apimachinery/pkg/types"
)

// deed is what an operation does.
type deed int

const (
	makes   deed = iota // the object is created
	ends                // the object is deleted
	accepts             // a token bound to the object is good
	refuses             // it is not
)

func (d deed) String() string { return [...]string{"makes", "ends", "accepts", "refuses"}[d] }

// operation is something that a client did, and what it was told.
type operation struct {
	deed         deed
	object       types.UID
	replica      int
	worker       int
	call, answer time.Duration // since the beginning
}

// history is what all clients did.
type history struct {
	began      time.Time
	operations []operation
}

func (h history) objects() int {
	seen := map[types.UID]bool{}
	for _, o := range h.operations {
		seen[o.object] = true
	}
	return len(seen)
}

// A rule tells whether a replica has to know of another one's deletion when that is answered.
type rule func(writer, reader int) bool

// own is the rule of --token-consistency=local, everywhere that of strict.
func own(writer, reader int) bool   { return writer == reader }
func everywhere(writer, _ int) bool { return true }

// sight is an operation as it matters to the clients of one replica.
type sight struct {
	operation
	reader int
}

// seenBy is the history as the clients of each of these replicas see it: all that was done, and what this replica said. A
// deletion that it need not know of yet may take effect at any later time. A creation takes effect at once everywhere: what
// a replica does not know, it reads from the store.
func (h history) seenBy(mustKnow rule, readers ...int) []porcupine.Operation {
	var seen []porcupine.Operation
	for _, reader := range readers {
		for _, o := range h.operations {
			if (o.deed == accepts || o.deed == refuses) && o.replica != reader {
				continue
			}
			answer := int64(o.answer)
			if o.deed == ends && !mustKnow(o.replica, reader) {
				answer = math.MaxInt64
			}
			seen = append(seen, porcupine.Operation{ClientId: o.worker, Input: sight{o, reader}, Call: int64(o.call), Output: o.deed, Return: answer})
		}
	}
	return seen
}

// keepingVerdicts is the history of replicas with a fault: each keeps the verdict on a token that it has accepted, and
// gives it to the next one who asks, whatever has happened in between.
func (h history) keepingVerdicts() history {
	type place struct {
		object  types.UID
		replica int
	}
	kept := map[place]bool{}
	faulty := history{operations: slices.Clone(h.operations)}
	slices.SortFunc(faulty.operations, func(a, b operation) int { return int(a.call - b.call) })
	for i := range faulty.operations {
		o := &faulty.operations[i]
		at := place{o.object, o.replica}
		switch {
		case o.deed == accepts:
			kept[at] = true
		case o.deed == refuses && kept[at]:
			o.deed, kept[at] = accepts, false
		}
	}
	return faulty
}

// The states of an object.
const (
	unborn = iota
	alive
	dead
)

// lives is the model, for each object and each replica: it is made once, ends, and its tokens are good in between.
var lives = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		type view struct {
			object types.UID
			reader int
		}
		parts := map[view][]porcupine.Operation{}
		for _, o := range history {
			seen := o.Input.(sight)
			of := view{seen.object, seen.reader}
			parts[of] = append(parts[of], o)
		}
		var all [][]porcupine.Operation
		for _, part := range parts {
			all = append(all, part)
		}
		return all
	},
	Init: func() any { return unborn },
	Step: func(state, _, output any) (bool, any) {
		switch output.(deed) {
		case makes:
			return state == unborn, alive
		case ends:
			return state != unborn, dead // of two who delete at once, both may be told that it is done
		case accepts:
			return state == alive, state
		default:
			return state != alive, state
		}
	},
}

// contradiction is what happened to an object that cannot be explained, line by line; empty if there is none.
func contradiction(history []porcupine.Operation) string {
	for _, part := range lives.Partition(history) {
		if porcupine.CheckOperations(lives, part) {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		var told strings.Builder
		for _, o := range part {
			did := o.Input.(sight)
			fmt.Fprintf(&told, "%10s to %10s: replica %d %s %s\n", did.call, did.answer, did.replica, did.deed, did.object)
		}
		return told.String()
	}
	return ""
}
