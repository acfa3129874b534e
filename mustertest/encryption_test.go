// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package mustertest_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// A strict server says nothing of a token before its watch has shown it the secret: what it reads there, it can decrypt.
func TestTokensBoundToSecretsThatAreEncryptedAtRestAreGoodAsLongAsTheSecret(t *testing.T) {
	t.Parallel()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	config := filepath.Join(t.TempDir(), "encryption.yaml")
	err := os.WriteFile(config, fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources: [{resources: [secrets], providers: [{secretbox: {keys: [{name: one, secret: %s}]}}]}]
`, base64.StdEncoding.EncodeToString(key)), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	muster := mustertest.Start(t, func(o *server.Options) {
		o.Etcd.EncryptionProviderConfigFilepath = config
		o.ServiceAccounts.TokenConsistency = server.StrictConsistency
	})
	client := muster.Client()
	muster.ServiceAccount("default", "reporter")
	secret, err := client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "seal"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "reporter", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Secret", Name: secret.Name, UID: secret.UID,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	timedReview(t, client, answer.Status.Token)
	if err := client.CoreV1().Secrets("default").Delete(t.Context(), secret.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	review, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: answer.Status.Token},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "[invalid bearer token, service account token has been invalidated]"; !strings.HasPrefix(review.Status.Error, want) {
		t.Errorf("after the secret is gone: %q, want %q", review.Status.Error, want)
	}
}
