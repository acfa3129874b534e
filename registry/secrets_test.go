// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// secretErrors are the texts of errors, for comparing.
func secretErrors(errs field.ErrorList) []string {
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return texts
}

func TestSecretDefaultsAreTheTypeAndStringDataInData(t *testing.T) {
	t.Parallel()
	secret := &corev1.Secret{
		Data:       map[string][]byte{"kept": []byte("a"), "replaced": []byte("b")},
		StringData: map[string]string{"replaced": "c", "added": "d"},
	}
	defaultSecret(secret)
	want := &corev1.Secret{
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{"kept": []byte("a"), "replaced": []byte("c"), "added": []byte("d")},
	}
	if diff := cmp.Diff(want, secret); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	only := &corev1.Secret{StringData: map[string]string{"added": "d"}}
	defaultSecret(only)
	if diff := cmp.Diff(map[string][]byte{"added": []byte("d")}, only.Data); diff != "" {
		t.Errorf("data made of stringData alone (-want +got):\n%s", diff)
	}
}

func TestSecretsAreCheckedByTheirType(t *testing.T) {
	t.Parallel()
	data := func(pairs ...string) map[string][]byte {
		made := map[string][]byte{}
		for i := 0; i < len(pairs); i += 2 {
			made[pairs[i]] = []byte(pairs[i+1])
		}
		return made
	}
	for name, test := range map[string]struct {
		kind        corev1.SecretType
		annotations map[string]string
		data        map[string][]byte
		want        []string
	}{
		"an opaque secret may hold anything":       {kind: corev1.SecretTypeOpaque, data: data("a.b_c-d", "x")},
		"a type of somebody else's is not checked": {kind: "example.org/theirs"},
		"a token needs its account's name": {
			kind: corev1.SecretTypeServiceAccountToken,
			want: []string{"metadata.annotations[kubernetes.io/service-account.name]: Required value"},
		},
		"a token with its account's name is complete": {
			kind:        corev1.SecretTypeServiceAccountToken,
			annotations: map[string]string{"kubernetes.io/service-account.name": "build"},
		},
		"a key must be a file name": {
			kind: corev1.SecretTypeOpaque, data: data("a/b", "x"),
			want: []string{"data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"},
		},
		"a docker config must be there": {
			kind: corev1.SecretTypeDockercfg, want: []string{"data[.dockercfg]: Required value"},
		},
		"a docker config must be JSON": {
			kind: corev1.SecretTypeDockercfg, data: data(".dockercfg", "hush"),
			want: []string{"data[.dockercfg]: Invalid value: \"<secret contents redacted>\": invalid character 'h' looking for beginning of value"},
		},
		"a docker config of the new form must be there": {
			kind: corev1.SecretTypeDockerConfigJson, want: []string{"data[.dockerconfigjson]: Required value"},
		},
		"a docker config of the new form is JSON": {
			kind: corev1.SecretTypeDockerConfigJson, data: data(".dockerconfigjson", "{}"),
		},
		"basic auth needs either half": {
			kind: corev1.SecretTypeBasicAuth,
			want: []string{"data[username]: Required value", "data[password]: Required value"},
		},
		"basic auth with one empty half is complete": {kind: corev1.SecretTypeBasicAuth, data: data("password", "")},
		"an ssh key may not be empty": {
			kind: corev1.SecretTypeSSHAuth, data: data("ssh-privatekey", ""),
			want: []string{"data[ssh-privatekey]: Required value"},
		},
		"tls needs both": {
			kind: corev1.SecretTypeTLS, data: data("tls.crt", ""),
			want: []string{"data[tls.key]: Required value"},
		},
		"a MiB is enough": {kind: corev1.SecretTypeOpaque, data: data("a", strings.Repeat("x", 1<<20))},
		"more than a MiB is not": {
			kind: corev1.SecretTypeOpaque, data: data("a", strings.Repeat("x", 1<<20), "b", "y"),
			want: []string{"data: Too long: may not be more than 1048576 bytes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret := &corev1.Secret{Type: test.kind, Data: test.data}
			secret.Annotations = test.annotations
			if diff := cmp.Diff(test.want, secretErrors(validateSecret(secret))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecretUpdatesKeepTheTypeAndWhatIsImmutable(t *testing.T) {
	t.Parallel()
	old := &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"a": []byte("1")}}
	retyped := old.DeepCopy()
	retyped.Type = corev1.SecretTypeTLS
	if diff := cmp.Diff([]string{`type: Invalid value: "kubernetes.io/tls": field is immutable`}, secretErrors(validateSecretUpdate(retyped, old))); diff != "" {
		t.Errorf("another type (-want +got):\n%s", diff)
	}
	old.Immutable = ptr.To(true)
	changed := old.DeepCopy()
	changed.Immutable, changed.Data["a"] = nil, []byte("2")
	want := []string{
		"immutable: Forbidden: field is immutable when `immutable` is set",
		"data: Forbidden: field is immutable when `immutable` is set",
	}
	if diff := cmp.Diff(want, secretErrors(validateSecretUpdate(changed, old))); diff != "" {
		t.Errorf("changed once immutable (-want +got):\n%s", diff)
	}
	relabelled := old.DeepCopy()
	relabelled.Labels = map[string]string{"a": "b"}
	if errs := validateSecretUpdate(relabelled, old); len(errs) > 0 {
		t.Errorf("the metadata of an immutable secret may change: %v", errs)
	}
}

func TestSecretWarnsOfAKeyThatIsNotTheCertificates(t *testing.T) {
	t.Parallel()
	tls := &corev1.Secret{Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": nil, "tls.key": nil}}
	want := []string{"tls: failed to find any PEM data in certificate input"}
	if diff := cmp.Diff(want, secretWarnings(t.Context(), tls, nil)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if got := secretWarnings(t.Context(), &corev1.Secret{Type: corev1.SecretTypeOpaque}, nil); got != nil {
		t.Errorf("warnings of an opaque secret: %q", got)
	}
}

func TestSecretRowCountsTheKeys(t *testing.T) {
	t.Parallel()
	definition := secrets().(*Definition[*corev1.Secret])
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Type: "t", Data: map[string][]byte{"a": nil, "b": nil}}
	if diff := cmp.Diff([]any{"s", "t", int64(2), "<unknown>"}, definition.Row(secret)); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if got := definition.Fields(secret)["type"]; got != "t" {
		t.Errorf("selectable type = %q", got)
	}
}
