// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/muster-identity/muster/bench/load"
)

// report is everything that was measured. Times of the processor are in
// microseconds for each request, latencies in milliseconds.
type report struct {
	Machine machine `json:"machine"`
	// Crypto is what the operations take that targets allow for.
	Crypto map[operation]float64 `json:"cryptoMicroseconds"`
	Rest   []atRest              `json:"atRest"`
	Rows   []row                 `json:"rows"`
}

// atRest is a system before anybody asks it.
type atRest struct {
	System           string  `json:"system"`
	Setup            string  `json:"setup"`
	StartupSeconds   float64 `json:"startupSeconds"`
	MemoryMiB        float64 `json:"memoryMiB"`
	StoreMemoryMiB   float64 `json:"storeMemoryMiB"`
	ProcessorPercent float64 `json:"processorPercent"`
}

// row is a scenario over a wire.
type row struct {
	Scenario string             `json:"scenario"`
	Title    string             `json:"title"`
	Wire     string             `json:"wire"`
	Systems  map[string]figures `json:"systems"`
	Bounds   []bound            `json:"bounds"`
}

// figures are those of one system in a row.
type figures struct {
	PerSecond         float64 `json:"requestsPerSecond"`
	P50               float64 `json:"p50Milliseconds"`
	P99               float64 `json:"p99Milliseconds"`
	Microseconds      float64 `json:"processorMicroseconds"`
	StoreMicroseconds float64 `json:"storeProcessorMicroseconds"`
}

// bound holds Muster to another system.
type bound struct {
	Against string `json:"against"`
	// Ratio is Muster's processor time over that of the other, its store not
	// counted.
	Ratio float64 `json:"ratio"`
	// Most is what Muster may use in microseconds; 0: whatever it likes.
	Most float64 `json:"mostMicroseconds"`
	Met  bool    `json:"met"`
}

// row makes a row of what the contenders have measured.
func (r *report) row(s scenario, wire load.Wire, contenders []*contender) row {
	made := row{Scenario: s.name, Title: s.title, Wire: wire.Name, Systems: map[string]figures{}}
	for _, c := range contenders {
		made.Systems[c.system.Name] = c.figures()
	}
	ours, measured := made.Systems[muster]
	if !measured {
		return made
	}
	if theirs, measured := made.Systems[kubeAPIServer]; measured {
		made.Bounds = append(made.Bounds, newBound(kubeAPIServer, ours, theirs, s.target.kubernetes*theirs.Microseconds))
	}
	if bare, measured := made.Systems[floor]; measured {
		most := s.target.floor * bare.Microseconds
		if most > 0 {
			most += r.Crypto[s.target.crypto]
		}
		made.Bounds = append(made.Bounds, newBound(floor, ours, bare, most))
	}
	return made
}

func newBound(against string, ours, theirs figures, most float64) bound {
	return bound{
		Against: against, Ratio: ours.Microseconds / theirs.Microseconds,
		Most: most, Met: most == 0 || ours.Microseconds <= most,
	}
}

func (c *contender) figures() figures {
	n := float64(len(c.result.Latencies))
	return figures{
		PerSecond:         c.result.PerSecond(),
		P50:               milliseconds(c.result.Percentile(50)),
		P99:               milliseconds(c.result.Percentile(99)),
		Microseconds:      float64(c.used.Server.Nanoseconds()) / 1e3 / n,
		StoreMicroseconds: float64(c.used.Others.Nanoseconds()) / 1e3 / n,
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func (r *report) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
