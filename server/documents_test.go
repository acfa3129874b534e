// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFileThatIsNoConfigurationIsRefusedInWordsThatHelp(t *testing.T) {
	t.Parallel()
	d := authenticationDocument
	for data, good := range map[string]bool{
		"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration":               true,
		"apiVersion: apiserver.config.k8s.io/v1beta1\nkind: AuthenticationConfiguration\njwt: []": true,
		`{"kind":"AuthenticationConfiguration","apiVersion":"apiserver.config.k8s.io/v1"}`:        true,
		"":            false,
		"hello":       false,
		"- a\n- b":    false,
		"a: [":        false,
		"kind: [1]":   false,
		"kind: Other": false,
		"apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration": false,
		"apiVersion: v1\nkind: AuthenticationConfiguration":                     false,
	} {
		err := d.check([]byte(data))
		if (err == nil) != good {
			t.Errorf("%q: %v", data, err)
		}
		if err != nil && !strings.Contains(err.Error(), `"kind: AuthenticationConfiguration" at the top`) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func TestEachConfigurationFileIsLookedAtBeforeItsDecoder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := NewOptions()
	o.Authentication.ConfigFile, o.Etcd.EncryptionProviderConfigFilepath, o.Audit.PolicyFile = file, file, file
	told := o.validate().Error()
	for _, want := range []string{
		`--authentication-config "` + file + `": it is no AuthenticationConfiguration`,
		`--encryption-provider-config "` + file + `": it is no EncryptionConfiguration`,
		`--audit-policy-file "` + file + `": it is no Policy`,
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%s\nlacks %s", told, want)
		}
	}
	if strings.Contains(told, "Go value") {
		t.Error(told)
	}
}
