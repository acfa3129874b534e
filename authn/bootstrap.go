// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstrapsecrets "k8s.io/cluster-bootstrap/util/secrets"
	bootstraptokens "k8s.io/cluster-bootstrap/util/tokens"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/live"
)

// KnownSecrets tells what memory knows of a Secret. Anybody can make up the name
// of one, so a name that memory does not know must cost no read of the store: it
// is apierrors.NotFound.
type KnownSecrets interface {
	KnownSecret(ctx context.Context, namespace, name string) (live.Secret, error)
}

// BootstrapTokens authenticates the tokens, "id.secret", of the Secrets of the
// type bootstrap.kubernetes.io/token in kube-system. The Secret is looked up for
// each check, so a token ends with its Secret.
// Kubernetes: plugin/pkg/auth/authenticator/token/bootstrap.
type BootstrapTokens struct {
	Secrets KnownSecrets
	// Consistency brings Secrets up to date before a token is accepted; nil where
	// what Secrets knows by itself will do.
	Consistency Syncer
	Now         func() time.Time
}

// AuthenticateToken tells who holds a bootstrap token. As in Kubernetes, one
// that is no good is unknown; only the log says why.
func (b *BootstrapTokens) AuthenticateToken(ctx context.Context, compact string) (*authenticator.Response, bool, error) {
	id, secret, err := bootstraptokens.ParseToken(compact)
	if err != nil {
		return nil, false, nil
	}
	kept, err := b.find(ctx, bootstrapapi.BootstrapTokenSecretPrefix+id)
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	groups, refusal := b.groups(kept, id, secret)
	if refusal != "" {
		klog.V(3).InfoS("A bootstrap token is refused", "secret", kept.Name, "reason", refusal)
		return nil, false, nil
	}
	return &authenticator.Response{User: &user.DefaultInfo{Name: bootstrapapi.BootstrapUserPrefix + id, Groups: groups}}, true, nil
}

// find looks the Secret up. Only one that is known moves the store to anything:
// it may be gone by what another replica has answered.
func (b *BootstrapTokens) find(ctx context.Context, name string) (live.Secret, error) {
	kept, err := b.Secrets.KnownSecret(ctx, metav1.NamespaceSystem, name)
	if err != nil || b.Consistency == nil {
		return kept, err
	}
	if err := b.Consistency.Sync(ctx); err != nil {
		return live.Secret{}, fmt.Errorf("bootstrap token cannot be checked now: %w", err)
	}
	return b.Secrets.KnownSecret(ctx, metav1.NamespaceSystem, name)
}

// groups are those of the holder of a token, or why it is no good.
func (b *BootstrapTokens) groups(kept live.Secret, id, secret string) (groups []string, refusal string) {
	if !kept.DeletedAt.IsZero() {
		return nil, "the secret is being deleted"
	}
	if kept.Bootstrap == nil {
		return nil, "the secret is of another type"
	}
	given := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(given[:], kept.Bootstrap.Digest[:]) != 1 {
		return nil, "token-secret is another one"
	}
	object := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: kept.Namespace, Name: kept.Name}, Data: kept.Bootstrap.Data}
	if bootstrapsecrets.GetData(object, bootstrapapi.BootstrapTokenIDKey) != id {
		return nil, "token-id is not that of the name"
	}
	if bootstrapsecrets.HasExpired(object, b.Now()) {
		return nil, "it has expired"
	}
	if bootstrapsecrets.GetData(object, bootstrapapi.BootstrapTokenUsageAuthentication) != "true" {
		return nil, "usage-bootstrap-authentication is not true"
	}
	groups, err := bootstrapsecrets.GetGroups(object)
	if err != nil {
		return nil, err.Error()
	}
	return groups, ""
}
