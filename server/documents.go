// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// document is a kind of configuration file. Its decoder judges what is in one;
// of a file that is none at all it has only words about Go types to say.
type document struct{ apiVersion, kind string }

var (
	authenticationDocument = document{"apiserver.config.k8s.io/v1", "AuthenticationConfiguration"}
	encryptionDocument     = document{"apiserver.config.k8s.io/v1", "EncryptionConfiguration"}
	authorizationDocument  = document{"apiserver.config.k8s.io/v1", "AuthorizationConfiguration"}
	auditDocument          = document{"audit.k8s.io/v1", "Policy"}
)

// check tells whether data is such a document, of whatever version.
func (d document) check(data []byte) error {
	var is metav1.TypeMeta
	err := yaml.Unmarshal(data, &is)
	group, _, _ := strings.Cut(d.apiVersion, "/")
	if err == nil && is.Kind == d.kind && strings.HasPrefix(is.APIVersion, group+"/") {
		return nil
	}
	fault := "it is no " + d.kind
	if len(bytes.TrimSpace(data)) == 0 {
		fault = "the file is empty"
	}
	return fmt.Errorf("%s: write YAML or JSON that has \"apiVersion: %s\" and \"kind: %s\" at the top", fault, d.apiVersion, d.kind)
}

// checkFile does the same with a file; the error names the flag and the file.
func (d document) checkFile(flag, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	if err := d.check(data); err != nil {
		return fmt.Errorf("%s %q: %w", flag, file, err)
	}
	return nil
}
