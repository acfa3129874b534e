// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime"
	"strings"
	"time"
)

// machine is what the figures hang on.
type machine struct {
	Processors int       `json:"processors"`
	Model      string    `json:"model"`
	Go         string    `json:"go"`
	Begun      time.Time `json:"begun"`
	// Load is that of the last minute before the start: where it is not near 0,
	// others work on the machine, and everything costs more.
	Load string `json:"load"`
}

func thisMachine() machine {
	load, _, _ := strings.Cut(content("/proc/loadavg"), " ")
	return machine{
		Processors: runtime.NumCPU(), Model: processorModel(content("/proc/cpuinfo")), Go: runtime.Version(),
		Begun: time.Now().UTC().Truncate(time.Second), Load: load,
	}
}

// content is what is in a file, or nothing: the figures are good without.
func content(path string) string {
	read, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(read)
}

// processorModel is the model of the first processor in /proc/cpuinfo.
func processorModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
