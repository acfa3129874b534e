// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package test drives the real binaries as a user would: each script is a
// promise, stated in its first line, played with the built muster and a real
// kubectl.
package test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/muster-identity/muster/test/binaries"
)

func TestMain(m *testing.M) {
	for _, name := range []string{"muster", "kubectl"} {
		if _, err := binaries.Build(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 ".",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server":    startServer,
			"shutdown":  stopServer,
			"within":    within,
			"saveout":   saveOut,
			"token":     createToken,
			"tokenfile": tokenFile,
			"claim":     claim,
			"holding":   holding,
			"nodecert":  nodeCert,
			"review":    review,
			"readtoken": readToken,
			"softhsm":   softHSM,
			"program":   buildProgram,
		},
	})
}

// setup puts the built binaries first in the script's PATH and gives it a home
// of its own.
func setup(env *testscript.Env) error {
	bin, err := filepath.Abs("../bin")
	if err != nil {
		return err
	}
	env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Values[serverKey{}] = &holder{}
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("DATA", filepath.Join(env.WorkDir, "data"))
	env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "data", "admin.kubeconfig"))
	return nil
}

// saveOut keeps what the last command printed in an environment variable:
//
//	saveout NAME
func saveOut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: saveout NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// buildProgram builds one of the programs in services into the script's folder:
//
//	program NAME
func buildProgram(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: program NAME")
	}
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", ts.MkAbs(args[0]), "./services/"+args[0])
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		ts.Fatalf("building %s: %v\n%s", args[0], err, out)
	}
}

// within repeats a command until it succeeds (or, negated, fails), for what the
// server promises to do by itself within a time:
//
//	within 1s kubectl get serviceaccount default -n dev
func within(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: within DURATION COMMAND [ARGS...]")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	deadline := time.Now().Add(limit)
	for {
		err := ts.Exec(args[1], args[2:]...)
		if (err == nil) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not within %s: %v", limit, err)
		}
	}
}

// createToken is "kubectl create token" that keeps the token in an environment
// variable, so that none is in the output of a test:
//
//	token NAME ACCOUNT [FLAGS...]
func createToken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: token NAME ACCOUNT [FLAGS...]")
	}
	kubectl, err := filepath.Abs("../bin/kubectl")
	ts.Check(err)
	cmd := exec.Command(kubectl, append([]string{"create", "token"}, args[1:]...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+ts.Getenv("KUBECONFIG"), "HOME="+ts.Getenv("HOME"))
	cmd.Stderr = ts.Stderr()
	token, err := cmd.Output()
	ts.Check(err)
	ts.Setenv(args[0], strings.TrimSpace(string(token)))
}

// holding writes a kubeconfig for whoever holds a token, and nothing else:
//
//	holding FILE TOKEN
func holding(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: holding FILE TOKEN")
	}
	config, err := clientcmd.LoadFromFile(ts.Getenv("KUBECONFIG"))
	ts.Check(err)
	for _, user := range config.AuthInfos {
		*user = clientcmdapi.AuthInfo{Token: args[1]}
	}
	ts.Check(clientcmd.WriteToFile(*config, ts.MkAbs(args[0])))
}

// review asks the server, as the administrator, what it thinks of a token, and
// leaves the answer on stdout:
//
//	review TOKEN [AUDIENCE...]
func review(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: review TOKEN [AUDIENCE...]")
	}
	body, err := json.Marshal(authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: args[0], Audiences: args[1:]},
	})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("review.json"), body, 0o600))
	ts.Check(ts.Exec("kubectl", "create", "-f", "review.json", "-o", "jsonpath={.status}"))
}

// tokenFile writes a token that is kept in an environment variable into a file:
//
//	tokenfile FILE NAME
func tokenFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tokenfile FILE NAME")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.Getenv(args[1])+"\n"), 0o600))
}

// claim keeps in an environment variable what the token in another one says, in
// its payload or its header:
//
//	claim NAME TOKEN CLAIM
func claim(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: claim NAME TOKEN CLAIM")
	}
	said := map[string]any{}
	for _, part := range strings.SplitN(ts.Getenv(args[1]), ".", 3)[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		ts.Check(err)
		ts.Check(json.Unmarshal(text, &said))
	}
	ts.Setenv(args[0], fmt.Sprint(said[args[2]]))
}
