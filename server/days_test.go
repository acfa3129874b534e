// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"
	"time"
)

func TestADurationFlagKnowsDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		value time.Duration
		again string
	}{
		"90d": {90 * day, "90d"}, "0": {0, "0s"}, "0d": {0, "0s"}, "36h": {36 * time.Hour, "36h"}, "1d12h": {36 * time.Hour, "36h"},
		"2160h": {90 * day, "90d"}, "10s": {10 * time.Second, "10s"}, "1h30m": {90 * time.Minute, "1h30m"}, "10m": {10 * time.Minute, "10m"},
	} {
		var d days
		if err := d.Set(text); err != nil || time.Duration(d) != want.value || d.String() != want.again {
			t.Errorf("%s is %s, which is written %s (%v), want %s and %s", text, time.Duration(d), &d, err, want.value, want.again)
		}
	}
	for _, text := range []string{"", "soon", "d", "-1d", "1d-1h", "-5h", "99999999d", "1.5d", "90 d", "90d1"} {
		var d days
		if err := d.Set(text); err == nil {
			t.Errorf("%q is taken for %s", text, time.Duration(d))
		}
	}
}
