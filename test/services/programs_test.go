// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/muster-identity/muster/server"
	"github.com/muster-identity/muster/verify"
)

// program is one that runs until its test has ended.
type program struct {
	url  string
	cmd  *exec.Cmd
	log  string // the file that stderr goes to
	done bool
}

// build makes the program in a folder of this one.
func build(t *testing.T, name string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	compile := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./"+name)
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return binary
}

// start runs a program, whose first line is the URL that it serves.
func start(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{cmd: cmd, log: filepath.Join(t.TempDir(), "log")}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.stop()
		said, _ := os.ReadFile(p.log)
		t.Fatalf("%s does not start: %v\n%s", filepath.Base(cmd.Path), err, said)
	}
	p.url = strings.TrimSpace(line)
	return p
}

func (p *program) stop() {
	if p.done {
		return
	}
	p.done = true
	_ = p.cmd.Process.Kill() // it may have ended by itself
	_ = p.cmd.Wait()
}

// wantLog stops the program and wants its log to give the reasons, without the
// tokens.
func (p *program) wantLog(t *testing.T, reasons []verify.Reason, tokens ...string) {
	t.Helper()
	p.stop()
	log, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range reasons {
		if !bytes.Contains(log, []byte(reason.Error())) {
			t.Errorf("the log does not say %q:\n%s", reason, log)
		}
	}
	for _, token := range tokens {
		for _, part := range strings.Split(token, ".") {
			if bytes.Contains(log, []byte(part)) {
				t.Error("the log holds a part of a token")
			}
		}
	}
}

// vault runs the vault, as the account vault.
func (s *ship) vault(t *testing.T, args ...string) *program {
	t.Helper()
	api := s.apiServer(t, "vault")
	args = append(args, "-server", api.URL, "-certificate-authority", api.CAFile, "-token-file", api.TokenFile)
	return start(t, exec.CommandContext(t.Context(), build(t, "vault"), args...))
}

// nodeVault runs the vault in Node.js, which has no account: everybody may read
// the keys. It is nil where that cannot be; a skipped test of its own says why.
func (s *ship) nodeVault(t *testing.T) *program {
	t.Helper()
	dir := t.TempDir()
	var args []string // none at all: it cannot be
	t.Run("Node.js", func(t *testing.T) { args = layNode(t, dir) })
	if args == nil {
		return nil
	}
	s.bind(t, "system:service-account-issuer-discovery", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:unauthenticated"})
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Env = append(os.Environ(),
		"ISSUER="+server.DefaultIssuer, "JWKS_URL="+s.URL()+"/openid/v1/jwks", "NODE_EXTRA_CA_CERTS="+filepath.Join(s.dir, "ca.crt"))
	return start(t, cmd)
}

// layNode lays vault.mjs and what it imports into a folder, and returns the
// arguments of node that run it. It skips the test where that cannot be.
func layNode(t *testing.T, dir string) []string {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), "node", "--version").Output()
	if err != nil {
		t.Skip("needs Node.js: ", err)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	n, err := strconv.Atoi(major)
	if err != nil || n < 18 {
		t.Skipf("needs Node.js 18 or newer, this is %s", bytes.TrimSpace(version))
	}
	modules, err := npmInstall(t)
	if err != nil {
		t.Skip("needs the npm package jose: ", err)
	}
	source, err := os.ReadFile("node/vault.mjs")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "vault.mjs")
	write(t, program, source)
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if n < 20 {
		return []string{"--experimental-global-webcrypto", program}
	}
	return []string{program}
}

// npmInstall installs what the lock file names, once for each state of that file,
// in the user's cache folder, and returns the folder node_modules.
func npmInstall(t *testing.T) (string, error) {
	t.Helper()
	lock, err := os.ReadFile("node/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	cache = filepath.Join(cache, "muster-test")
	home := filepath.Join(cache, fmt.Sprintf("npm-%x", sha256.Sum256(lock)))
	modules := filepath.Join(home, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	// Installed aside and moved: what is there is whole.
	aside, err := os.MkdirTemp(cache, "installing-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(aside)
	if err := os.CopyFS(aside, os.DirFS("node")); err != nil {
		return "", err
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0")
	install.Dir = aside
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w %s", err, npmCode(out))
	}
	if err := os.Rename(aside, home); err != nil {
		if _, err := os.Stat(modules); err == nil {
			return modules, nil // another test was faster
		}
		return "", err
	}
	return modules, nil
}

// npmCode is what npm says in one word, such as ENOTFOUND.
func npmCode(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if _, code, ok := strings.Cut(line, " code "); ok {
			return strings.TrimSpace(code)
		}
	}
	return ""
}
