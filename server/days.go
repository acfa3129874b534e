// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// days is a duration flag that knows days: 90d, 36h, 1d12h.
type days time.Duration

// Set reads the flag.
func (d *days) Set(text string) error {
	rest, total := text, time.Duration(0)
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 90d, 36h or 0", text)
		}
		rest, total = after, time.Duration(n)*day
	}
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 {
			return fmt.Errorf("%q is not a duration such as 90d, 36h or 0", text)
		}
		total += more
	}
	if text == "" {
		return fmt.Errorf("%q is not a duration such as 90d, 36h or 0", text)
	}
	*d = days(total)
	return nil
}

// String is the shortest way to write it.
func (d *days) String() string {
	if whole := time.Duration(*d); whole%day == 0 && whole > 0 {
		return strconv.FormatInt(int64(whole/day), 10) + "d"
	}
	text := time.Duration(*d).String() // such as 5h0m0s
	for _, rest := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, rest) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Type is the word for the flag's value in the help.
func (d *days) Type() string { return "duration" }
