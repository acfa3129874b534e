// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package es256

import "filippo.io/nistec"

// table has the multiples of a point that a number is made of, byte by byte: in row
// i those by 1*256^i to 255*256^i. It has 800 KiB and is made in 4 ms.
type table [32][255]nistec.P256Point

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
		if digit := number[len(number)-1-i]; digit != 0 {
			sum.Add(sum, &t[i][digit-1])
		}
	}
	return sum
}
