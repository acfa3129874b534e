// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package serviceaccount

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Accounts finds a service account as it is stored now: a creation that has been
// answered must show. A missing account is an apierrors NotFound. The plugin
// does not change what it gets. Calls may overlap.
type Accounts interface {
	Get(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
}

// defaultTries is how often the default account is looked for: something makes
// it in each namespace, perhaps this very moment.
const defaultTries = 10

// lookup finds accounts, with patience for the default one.
type lookup struct {
	accounts Accounts
	// pause is the time between two tries of one lookup.
	pause func() time.Duration
}

// retryPause spreads those who wait for the same account: 100 to 200 ms.
func retryPause() time.Duration {
	return 100*time.Millisecond + rand.N(100*time.Millisecond)
}

func (l lookup) account(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	tries := 1
	if name == defaultAccount {
		tries = defaultTries
	}
	pause := l.pause()
	for {
		account, err := l.accounts.Get(ctx, namespace, name)
		if !apierrors.IsNotFound(err) {
			return account, err
		}
		if tries--; tries == 0 {
			// The singular is what Kubernetes says here, and what clients match.
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccount"}, name)
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// sleep waits for d, or returns the reason why ctx ended before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// automounts tells whether the pod gets a token without asking: the pod's own
// word first, then the account's, else yes.
func automounts(account *corev1.ServiceAccount, pod *corev1.Pod) bool {
	for _, word := range []*bool{pod.Spec.AutomountServiceAccountToken, account.AutomountServiceAccountToken} {
		if word != nil {
			return *word
		}
	}
	return true
}

// enforceMountableSecrets restricts the pods of an account to its own secrets.
const enforceMountableSecrets = "kubernetes.io/enforce-mountable-secrets"

// enforcesMountableSecrets tells whether the account asks for that. What does
// not read as a boolean means no; to a strict server it means yes.
func enforcesMountableSecrets(account *corev1.ServiceAccount, strict bool) bool {
	word, said := account.Annotations[enforceMountableSecrets]
	enforced, err := strconv.ParseBool(word)
	if err != nil {
		return strict && said
	}
	return enforced
}
