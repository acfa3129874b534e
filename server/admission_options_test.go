// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPluginsThatMusterLacksAreRefusedByName(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options AdmissionOptions
		want    string
	}{
		"nothing said":               {AdmissionOptions{}, ""},
		"on anyway":                  {AdmissionOptions{Enable: []string{"PodSecurity"}}, ""},
		"an unknown one enabled":     {AdmissionOptions{Enable: []string{"Nonsense"}}, `enable-admission-plugins plugin "Nonsense" is unknown`},
		"an unknown one disabled":    {AdmissionOptions{Disable: []string{"Nonsense"}}, `disable-admission-plugins plugin "Nonsense" is unknown`},
		"one of Kubernetes enabled":  {AdmissionOptions{Enable: []string{"LimitRanger"}}, `--enable-admission-plugins: Kubernetes has a plugin "LimitRanger" and Muster has not; it has NamespaceLifecycle, `},
		"one of Kubernetes disabled": {AdmissionOptions{Disable: []string{"LimitRanger"}}, ""},
		"both": {
			AdmissionOptions{Enable: []string{"PodSecurity"}, Disable: []string{"PodSecurity"}},
			`[PodSecurity] in enable-admission-plugins and disable-admission-plugins overlapped`,
		},
		"no such rule": {AdmissionOptions{MountableSecrets: "lax"}, `--mountable-secrets "lax" is neither "kubernetes" nor "strict"`},
		"no such file": {AdmissionOptions{ConfigFile: "/nowhere"}, `--admission-control-config-file: open /nowhere: no such file or directory`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := errors.Join(test.options.validate()...); err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestPluginsComeInTheOrderOfKubernetesWhateverTheOrderOfFlags(t *testing.T) {
	t.Parallel()
	options := AdmissionOptions{
		Enable:  []string{"ValidatingAdmissionWebhook", "ServiceAccount"},
		Disable: []string{"PodSecurity", "MutatingAdmissionWebhook"},
	}
	want := []string{"NamespaceLifecycle", "ServiceAccount", "NodeRestriction", "CertificateApproval", "CertificateSigning", "ClusterTrustBundleAttest", "CertificateSubjectRestriction", "MutatingAdmissionPolicy", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook"}
	if diff := cmp.Diff(want, options.enabled()); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
}

// The library ends the process over a file that is missing.
func TestSettingsOfAPluginInAMissingFileAreAnError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "admission.yaml")
	const text = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins: [{name: PodSecurity, path: missing.yaml}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := errors.Join((&AdmissionOptions{ConfigFile: file}).validate()...)
	if err == nil || !strings.Contains(err.Error(), "settings of plugin PodSecurity: open "+filepath.Dir(file)) {
		t.Errorf("got %v", err)
	}
}

func TestThePageOfAdmissionNamesEachPlugin(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/admission.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range (&AdmissionOptions{}).enabled() {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/admission.md does not name %s", name)
		}
	}
}
