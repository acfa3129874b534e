// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/live"
)

// knownSecrets are the secrets of kube-system by name; err is what a look at one
// comes to.
type knownSecrets struct {
	byName map[string]live.Secret
	err    error
}

func (k knownSecrets) KnownSecret(_ context.Context, namespace, name string) (live.Secret, error) {
	if k.err != nil {
		return live.Secret{}, k.err
	}
	if secret, ok := k.byName[name]; ok && namespace == "kube-system" {
		return secret, nil
	}
	return live.Secret{}, apierrors.NewNotFound(corev1.Resource("secrets"), name)
}

func TestABootstrapTokenIsAsGoodAsItsSecret(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const good = "abcdef.0123456789abcdef"
	for name, test := range map[string]struct {
		token  string
		data   map[string]string // over those of a good one
		change func(*live.Secret)
		want   string // the groups; empty for a token that nobody knows
	}{
		"good":                        {want: "system:bootstrappers"},
		"more groups":                 {data: map[string]string{"auth-extra-groups": "system:bootstrappers:a,system:bootstrappers:b"}, want: "system:bootstrappers system:bootstrappers:a system:bootstrappers:b"},
		"groups of others":            {data: map[string]string{"auth-extra-groups": "system:bootstrappers:a,system:masters"}},
		"expires later":               {data: map[string]string{"expiration": "2026-01-02T03:04:06Z"}, want: "system:bootstrappers"},
		"expires now":                 {data: map[string]string{"expiration": "2026-01-02T03:04:05Z"}},
		"expires at no time":          {data: map[string]string{"expiration": "tomorrow"}},
		"for another use":             {data: map[string]string{"usage-bootstrap-authentication": "false"}},
		"for no use":                  {data: map[string]string{"usage-bootstrap-authentication": ""}},
		"another id in the secret":    {data: map[string]string{"token-id": "fedcba"}},
		"another secret part":         {token: "abcdef.0123456789abcdeg"},
		"another id":                  {token: "fedcba.0123456789abcdef"},
		"capitals":                    {token: "ABCDEF.0123456789abcdef"},
		"a longer one":                {token: good + "0"},
		"no token of this kind":       {token: "nonsense"},
		"being deleted, for a moment": {change: func(s *live.Secret) { s.DeletedAt = now.Add(time.Hour) }},
		"a secret of another type":    {change: func(s *live.Secret) { s.Bootstrap = nil }},
		"an empty secret part":        {change: func(s *live.Secret) { s.Bootstrap.Digest = sha256.Sum256(nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := map[string]string{"token-id": "abcdef", "usage-bootstrap-authentication": "true"}
			maps.Copy(data, test.data)
			kept := live.Secret{Bootstrap: &live.BootstrapToken{Digest: sha256.Sum256([]byte("0123456789abcdef")), Data: map[string][]byte{}}}
			for key, value := range data {
				kept.Bootstrap.Data[key] = []byte(value)
			}
			if test.change != nil {
				test.change(&kept)
			}
			if test.token == "" {
				test.token = good
			}
			tokens := &authn.BootstrapTokens{
				Secrets: knownSecrets{byName: map[string]live.Secret{"bootstrap-token-abcdef": kept}},
				Now:     func() time.Time { return now },
			}
			response, ok, err := tokens.AuthenticateToken(t.Context(), test.token)
			if err != nil || ok != (test.want != "") {
				t.Fatalf("ok %v, error %v; want the groups %q", ok, err, test.want)
			}
			if !ok {
				return
			}
			got := []string{response.User.GetName(), strings.Join(response.User.GetGroups(), " ")}
			if diff := cmp.Diff([]string{"system:bootstrap:abcdef", test.want}, got); diff != "" {
				t.Errorf("the user (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABootstrapTokenWhoseSecretCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	tokens := &authn.BootstrapTokens{Secrets: knownSecrets{err: errors.New("the store is away")}, Now: time.Now}
	if _, ok, err := tokens.AuthenticateToken(t.Context(), "abcdef.0123456789abcdef"); ok || err == nil {
		t.Errorf("ok %v, error %v", ok, err)
	}
}

func TestABootstrapTokenEndsWithItsSecretOnAllReplicas(t *testing.T) {
	t.Parallel()
	const name = "bootstrap-token-abcdef"
	secrets := knownSecrets{byName: map[string]live.Secret{name: {
		Meta: live.Meta{Namespace: "kube-system", Name: name},
		Bootstrap: &live.BootstrapToken{
			Digest: sha256.Sum256([]byte("0123456789abcdef")),
			Data:   map[string][]byte{"token-id": []byte("abcdef"), "usage-bootstrap-authentication": []byte("true")},
		},
	}}}
	elsewhere := &syncer{}
	tokens := &authn.BootstrapTokens{Secrets: secrets, Consistency: elsewhere, Now: time.Now}
	if _, ok, err := tokens.AuthenticateToken(t.Context(), "fedcba.0123456789abcdef"); ok || err != nil || elsewhere.asked != 0 {
		t.Errorf("an id that nobody knows: ok %v, error %v, the store was asked %d times", ok, err, elsewhere.asked)
	}
	if _, ok, err := tokens.AuthenticateToken(t.Context(), "abcdef.0123456789abcdef"); !ok || err != nil {
		t.Errorf("a good token: ok %v, error %v", ok, err)
	}
	elsewhere.err = errors.New("the store is away")
	if _, ok, err := tokens.AuthenticateToken(t.Context(), "abcdef.0123456789abcdef"); ok || err == nil {
		t.Errorf("without the store: ok %v, error %v", ok, err)
	}
	elsewhere.err, elsewhere.news = nil, func() { delete(secrets.byName, name) }
	if _, ok, err := tokens.AuthenticateToken(t.Context(), "abcdef.0123456789abcdef"); ok || err != nil {
		t.Errorf("deleted by another replica: ok %v, error %v", ok, err)
	}
}
