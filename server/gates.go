// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// FeatureGates are the features of Kubernetes that are off unless somebody asks
// for them (--feature-gates). They are settings of one server, not of the
// process, and as a flag.Value read like Kubernetes' own: NAME=true,NAME=false.
type FeatureGates struct {
	// WebhookTokens binds tokens to webhook configurations
	// (APIServerWebhookAuthenticationToken).
	WebhookTokens bool
}

func (g *FeatureGates) byName() map[string]*bool {
	return map[string]*bool{"APIServerWebhookAuthenticationToken": &g.WebhookTokens}
}

// Set turns gates on and off. The ones that are not named stay as they are, and
// so do all of them after an error.
func (g *FeatureGates) Set(text string) error {
	changed := *g
	gates := changed.byName()
	for pair := range strings.SplitSeq(text, ",") {
		pair = strings.TrimSpace(pair)
		if pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("%q must be NAME=true or NAME=false", pair)
		}
		gate, known := gates[strings.TrimSpace(name)]
		if !known {
			return fmt.Errorf("no feature gate %q: Muster has %s, and otherwise the released behaviour",
				strings.TrimSpace(name), strings.Join(slices.Sorted(maps.Keys(gates)), ", "))
		}
		on, err := strconv.ParseBool(strings.TrimSpace(value))
		if err != nil {
			return fmt.Errorf("%q must be NAME=true or NAME=false", pair)
		}
		*gate = on
	}
	*g = changed
	return nil
}

// String is what Set takes: the gates that are on.
func (g *FeatureGates) String() string {
	var on []string
	for name, gate := range g.byName() {
		if *gate {
			on = append(on, name+"=true")
		}
	}
	slices.Sort(on)
	return strings.Join(on, ",")
}

// Type is how help calls the value.
func (g *FeatureGates) Type() string { return "mapStringBool" }
