// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"fmt"

	"k8s.io/component-base/metrics"
)

// Metrics count the uses of service account tokens, under Kubernetes' names
// (pkg/serviceaccount/metrics.go). They count from when they are registered.
type Metrics struct {
	legacy, stale, valid                  *metrics.Counter
	manualUses, autoUses, invalidAutoUses *metrics.Counter
}

// NewMetrics makes counters of one server.
func NewMetrics() *Metrics {
	counter := func(name, help string, level metrics.StabilityLevel) *metrics.Counter {
		return metrics.NewCounter(&metrics.CounterOpts{Subsystem: "serviceaccount", Name: name, Help: help, StabilityLevel: level})
	}
	return &Metrics{
		legacy:          counter("legacy_tokens_total", "Cumulative legacy service account tokens used", metrics.BETA),
		stale:           counter("stale_tokens_total", "Cumulative stale projected service account tokens used", metrics.BETA),
		valid:           counter("valid_tokens_total", "Cumulative valid projected service account tokens used", metrics.BETA),
		manualUses:      counter("legacy_manual_token_uses_total", "Cumulative manually created legacy tokens used", metrics.ALPHA),
		autoUses:        counter("legacy_auto_token_uses_total", "Cumulative auto-generated legacy tokens used", metrics.ALPHA),
		invalidAutoUses: counter("invalid_legacy_auto_token_uses_total", "Cumulative invalid auto-generated legacy tokens used", metrics.ALPHA),
	}
}

// Register adds the counters to those of a server.
func (m *Metrics) Register(registry metrics.KubeRegistry) error {
	for _, counter := range []*metrics.Counter{m.legacy, m.stale, m.valid, m.manualUses, m.autoUses, m.invalidAutoUses} {
		if err := registry.Register(counter); err != nil {
			return fmt.Errorf("registering the metric %s: %w", counter.Name, err)
		}
	}
	return nil
}
