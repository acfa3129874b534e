// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package muster_test

import (
	"bytes"
	"os"
	"testing"
)

const licenseHeader = "// Copyright The Muster Authors.\n// SPDX-License-Identifier: Apache-2.0\n\n"

func TestEveryGoFileStatesItsLicense(t *testing.T) {
	t.Parallel()
	for _, file := range goFiles(t) {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !statesLicense(source) {
			t.Errorf("%s does not begin with\n%s", file, licenseHeader)
		}
	}
}

func TestLicenseIsMissedWhereItIsMissing(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		licenseHeader + "package a\n":                          true,
		"//go:build linux\n\n" + licenseHeader + "package a\n": true,
		"package a\n":                                        false,
		"package a\n\n" + licenseHeader:                      false,
		"// Copyright The Muster Authors.\n\npackage a\n":    false,
		licenseHeader[:len(licenseHeader)-1] + "package a\n": false,
	} {
		if got := statesLicense([]byte(source)); got != want {
			t.Errorf("statesLicense(%q) = %v, want %v", source, got, want)
		}
	}
}

// statesLicense allows nothing before the header but build constraints, which generators put first.
func statesLicense(source []byte) bool {
	for {
		line, rest, found := bytes.Cut(source, []byte("\n"))
		constraint := bytes.HasPrefix(line, []byte("//go:build ")) || bytes.HasPrefix(line, []byte("// +build "))
		if !found || !constraint && len(line) > 0 {
			return bytes.HasPrefix(source, []byte(licenseHeader))
		}
		source = rest
	}
}
