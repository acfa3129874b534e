// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/keyring/external"
	"github.com/muster-identity/muster/keyring/signertest"
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
	_, environment, err := newSoftHSM(ts.MkAbs("."))
	ts.Check(err)
	for name, value := range environment {
		ts.Setenv(name, value)
	}
}

// newSoftHSM makes a token below a folder, and builds the signer. The
// environment leads the signer to the token.
func newSoftHSM(dir string) (signer string, environment map[string]string, err error) {
	signer, err = binaries.Build("signer")
	if err != nil {
		return "", nil, err
	}
	const label, pin = "muster", "1234"
	tokens, config := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf")
	environment = map[string]string{
		"SOFTHSM2_CONF": config, "PKCS11_MODULE": softHSMModule(), "PKCS11_TOKEN": label, "PKCS11_PIN": pin,
	}
	if err := os.Mkdir(tokens, 0o700); err != nil {
		return "", nil, err
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, "directories.tokendir = %s\nlog.level = ERROR\n", tokens), 0o600); err != nil {
		return "", nil, err
	}
	initialize := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", pin)
	initialize.Env = append(os.Environ(), "SOFTHSM2_CONF="+config)
	if out, err := initialize.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("making a PKCS#11 token: %w\n%s", err, out)
	}
	return signer, environment, nil
}

func TestAProcessWithItsKeysInAPKCS11TokenSignsAsSignersDo(t *testing.T) {
	t.Parallel()
	if !hasSoftHSM() {
		t.Skip("needs softhsm2 and a C compiler")
	}
	dir := t.TempDir()
	signer, environment, err := newSoftHSM(dir)
	if err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(signer, args...)
		cmd.Dir, cmd.Env, cmd.Stderr = dir, os.Environ(), os.Stderr
		for name, value := range environment {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		return cmd
	}
	if err := command("generate", "only").Run(); err != nil {
		t.Fatal(err)
	}
	policy := `{"signing": "only", "published": ["only"], "refreshSeconds": 60, "maxExpirationSeconds": 3600}`
	if err := os.WriteFile(filepath.Join(dir, "policy.json"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := command("serve")
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Kill() // fails only when it has ended
		_ = serve.Wait()         // says that it was killed
	})
	signertest.Run(t, func(t *testing.T) keyring.Signer {
		client, err := external.Connect(t.Context(), filepath.Join(dir, "signer.sock"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() }) // of no matter any more
		return client.Ring()
	})
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
