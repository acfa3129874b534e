// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfigAt writes a kubeconfig whose only cluster is called after the file's purpose.
func kubeconfigAt(t *testing.T, path, name string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: "https://" + name}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// The environment is the process's, so this test runs alone.
func TestKubeconfigIsTheNearestThereIs(t *testing.T) {
	dir := t.TempDir()
	dataDir := filepath.Join(dir, "data")
	given := kubeconfigAt(t, filepath.Join(dir, "given"), "given")
	inEnv := kubeconfigAt(t, filepath.Join(dir, "env"), "env")
	kubeconfigAt(t, filepath.Join(dataDir, "admin.kubeconfig"), "local")
	for _, test := range []struct{ flag, env, dataDir, want string }{
		{given, inEnv, dataDir, "given"},
		{"", inEnv, dataDir, "env"},
		{"", filepath.Join(dir, "missing"), dataDir, ""},
		{"", "", dataDir, "local"},
		{"", "", filepath.Join(dir, "nowhere"), ""},
	} {
		t.Setenv(clientcmd.RecommendedConfigPathEnvVar, test.env)
		rules := kubeconfigRules(test.flag, test.dataDir)
		if test.env == "" && test.flag == "" {
			// The usual file is that of whoever runs the test; which one it is was fixed when the test began.
			for _, usual := range rules.Precedence {
				if exists(usual) {
					t.Skipf("the machine has a kubeconfig at %s", usual)
				}
			}
		}
		config, err := rules.Load()
		if err != nil {
			t.Fatal(err)
		}
		if config.CurrentContext != test.want {
			t.Errorf("--kubeconfig %q, $KUBECONFIG %q: took %q, want %q", test.flag, test.env, config.CurrentContext, test.want)
		}
	}
}
