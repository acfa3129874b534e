// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func parsed(t *testing.T, args ...string) *Options {
	t.Helper()
	o := NewOptions()
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.AddFlags(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	o.complete()
	return o
}

func TestBadAuthorizersAreRefusedBeforeTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n"
	good := file("good.yaml", head+"- {type: RBAC, name: rbac}\n")
	abac := file("abac.yaml", head+"- {type: ABAC, name: abac}\n")
	empty := file("empty", "")
	const exclusive = "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--authorization-mode", "Magic"}, `authorization-mode "Magic" is not a valid mode`},
		{[]string{"--authorization-mode", "RBAC,RBAC"}, `authorization-mode ["RBAC" "RBAC"] has mode specified more than once`},
		{[]string{"--authorization-mode", "ABAC"}, `authorization-mode "ABAC" is not served: write its policies as roles and bindings (RBAC)`},
		{[]string{"--authorization-policy-file", "x"}, "--authorization-policy-file is not served: write its policies as roles and bindings (RBAC)"},
		{[]string{"--authorization-mode", "Webhook"}, "authorization-mode Webhook's authorization config file not passed"},
		{[]string{"--authorization-webhook-config-file", empty}, "cannot specify --authorization-webhook-config-file without mode Webhook"},
		{[]string{"--authorization-mode", "Webhook", "--authorization-webhook-config-file", filepath.Join(dir, "away")}, `--authorization-webhook-config-file: authorizer "default": reading the kubeconfig of the webhook: `},
		{[]string{"--authorization-mode", "Webhook", "--authorization-webhook-config-file", empty, "--authorization-webhook-cache-authorized-ttl", "-1s"}, "--authorization-webhook-cache-authorized-ttl -1s must not be negative"},
		{[]string{"--authorization-config", good, "--authorization-mode", "RBAC"}, exclusive},
		{[]string{"--authorization-config", good, "--authorization-webhook-version", "v1"}, exclusive},
		{[]string{"--authorization-config", good, "--authorization-webhook-cache-unauthorized-ttl", "30s"}, exclusive},
		{[]string{"--authorization-config", filepath.Join(dir, "away")}, "--authorization-config: open"},
		{[]string{"--authorization-config", empty}, "the file is empty"},
		{[]string{"--authorization-config", file("none.yaml", strings.TrimSuffix(head, "authorizers:\n"))}, "at least one authorization mode must be defined"},
		{[]string{"--authorization-config", abac}, `Unsupported value: "ABAC"`},
	} {
		if err := parsed(t, test.args...).validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %q", test.args, err, test.want)
		}
	}
	for _, args := range [][]string{nil, {"--authorization-config", good}, {"--authorization-mode", "AlwaysDeny"}} {
		if err := parsed(t, args...).validate(); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestNodeAndRBACDecideUnlessSomebodySaysOtherwise(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"Node node", "RBAC rbac"}},
		{[]string{"--authorization-mode", "RBAC,Webhook", "--authorization-webhook-config-file", "x"}, []string{"RBAC rbac", "Webhook default"}},
	} {
		config, _, err := parsed(t, test.args...).Authorization.configuration()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, entry := range config.Authorizers {
			got = append(got, string(entry.Type)+" "+entry.Name)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.args, diff)
		}
	}
}
