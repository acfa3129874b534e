// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/muster-identity/muster/test/binaries"
)

// softHSM makes a PKCS#11 token in software, tells the script's environment of
// it, and builds bin/signer, which signs with keys in it:
//
//	softhsm
func softHSM(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: softhsm")
	}
	_, err := binaries.Build("signer")
	ts.Check(err)
	tokens := ts.MkAbs("tokens")
	ts.Check(os.Mkdir(tokens, 0o700))
	config := ts.MkAbs("softhsm2.conf")
	ts.Check(os.WriteFile(config, fmt.Appendf(nil, "directories.tokendir = %s\nlog.level = ERROR\n", tokens), 0o600))
	const label, pin = "muster", "1234"
	ts.Setenv("SOFTHSM2_CONF", config)
	ts.Setenv("PKCS11_MODULE", softHSMModule())
	ts.Setenv("PKCS11_TOKEN", label)
	ts.Setenv("PKCS11_PIN", pin)
	ts.Check(ts.Exec("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", pin))
}

// hasSoftHSM tells whether softHSM can work here.
func hasSoftHSM() bool {
	for _, tool := range []string{"softhsm2-util", "cc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return false
		}
	}
	return softHSMModule() != ""
}

// softHSMModule is the library, wherever the distribution has put it.
func softHSMModule() string {
	for _, pattern := range []string{"/usr/lib/softhsm", "/usr/lib/*/softhsm", "/usr/lib64/pkcs11", "/usr/lib64"} {
		if found, _ := filepath.Glob(filepath.Join(pattern, "libsofthsm2.so")); len(found) > 0 { // the pattern is good
			return found[0]
		}
	}
	return ""
}
