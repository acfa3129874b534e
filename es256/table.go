// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package es256

import "filippo.io/nistec"

const (
	// window is how many bits of a number lead to one entry of a table: with six
	// a table has 260 KiB and is made in 1.3 ms.
	window  = 6
	windows = (256 + window - 1) / window
)

// table has the multiples of a point that a number in 64 notation is made of: in
// row i those by 1*64^i to 63*64^i.
type table [windows][1<<window - 1]nistec.P256Point

func newTable(point *nistec.P256Point) *table {
	t := &table{}
	step := nistec.NewP256Point().Set(point)
	for i := range t {
		row := &t[i]
		row[0].Set(step)
		for j := 1; j < len(row); j++ {
			row[j].Add(&row[j-1], step)
		}
		step.Add(&row[len(row)-1], step)
	}
	return t
}

// times is the product of the point and a number, which is big-endian.
func (t *table) times(number *[32]byte) *nistec.P256Point {
	sum := nistec.NewP256Point()
	for i := range t {
		if digit := digitOf(number, i*window); digit != 0 {
			sum.Add(sum, &t[i][digit-1])
		}
	}
	return sum
}

// digitOf is the digit whose lowest bit is this one, counted from the last.
func digitOf(number *[32]byte, bit int) int {
	last := len(number) - 1 - bit/8
	bits := int(number[last])
	if last > 0 {
		bits |= int(number[last-1]) << 8
	}
	return bits >> (bit % 8) & (1<<window - 1)
}
