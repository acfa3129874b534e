// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// writeTable prints the report for people.
func (r *report) writeTable(w io.Writer) error {
	var err error
	printf := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format, args...)
		}
	}
	m := r.Machine
	printf("%s, %d x %s, load %s, %s\n", m.Begun.Format("2006-01-02 15:04 MST"), m.Processors, m.Model, m.Load, m.Go)
	for _, rest := range r.Rest {
		printf("%s, %s: ready in %.1f s; at rest %s MiB, %.1f %% of a processor\n",
			rest.System, rest.Setup, rest.StartupSeconds, withStore("%.0f", rest.MemoryMiB, rest.StoreMemoryMiB), rest.ProcessorPercent)
	}
	printf("%s: %.0f us; %s: %.0f us\n\n", signing, r.Crypto[signing], verifying, r.Crypto[verifying])
	if err != nil {
		return err
	}
	return r.writeRows(w)
}

// writeRows prints a line for each system in each row.
func (r *report) writeRows(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SCENARIO\tWIRE\tSYSTEM\tREQUESTS/S\tP50 ms\tP99 ms\tCPU us/REQUEST\tMUSTER IS\tTARGET\t")
	for _, row := range r.Rows {
		scenario, wire := row.Scenario, row.Wire
		for _, name := range []string{muster, kubeAPIServer, floor} {
			f, measured := row.Systems[name]
			if !measured {
				continue
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%.0f\t%.2f\t%.2f\t%s\t%s\t\n", scenario, wire, name,
				f.PerSecond, f.P50, f.P99, withStore("%.1f", f.Microseconds, f.StoreMicroseconds), row.verdict(name))
			scenario, wire = "", ""
		}
	}
	return table.Flush() // it keeps the first error of all that was written
}

// verdict is what Muster's figure is beside that of another system.
func (r row) verdict(against string) string {
	for _, b := range r.Bounds {
		if b.Against != against {
			continue
		}
		times := fmt.Sprintf("%.2f x", b.Ratio)
		if against == kubeAPIServer {
			times = fmt.Sprintf("1/%.1f", 1/b.Ratio)
		}
		switch {
		case b.Most == 0:
			return times + "\t"
		case b.Met:
			return fmt.Sprintf("%s\tat most %.0f us: met", times, b.Most)
		}
		return fmt.Sprintf("%s\tat most %.0f us: MISSED", times, b.Most)
	}
	return "\t"
}

// withStore is a figure, and what it is with that of the store.
func withStore(format string, server, store float64) string {
	text := fmt.Sprintf(format, server)
	if store > 0 {
		text += fmt.Sprintf(" ("+format+" with its store)", server+store)
	}
	return text
}
