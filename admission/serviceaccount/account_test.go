// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package serviceaccount

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// late finds an account from the nth question on.
type late struct {
	asked, from int
}

func (l *late) Get(_ context.Context, _, name string) (*corev1.ServiceAccount, error) {
	if l.asked++; l.asked < l.from {
		return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), name)
	}
	return account(name), nil
}

func TestOnlyTheDefaultAccountIsWaitedFor(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		name    string
		from    int
		found   bool
		asked   int
		atLeast time.Duration
		atMost  time.Duration
	}{
		"there at once":        {"default", 1, true, 1, 0, 0},
		"there after a while":  {"default", 10, true, 10, 900 * time.Millisecond, 1800 * time.Millisecond},
		"never there":          {"default", 11, false, 10, 900 * time.Millisecond, 1800 * time.Millisecond},
		"another, there later": {"robot", 2, false, 1, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				accounts := &late{from: test.from}
				start := time.Now()
				_, err := New(accounts).lookup.account(t.Context(), "dev", test.name)
				took := time.Since(start)
				if (err == nil) != test.found || accounts.asked != test.asked {
					t.Errorf("error %v after %d questions, want found %v after %d", err, accounts.asked, test.found, test.asked)
				}
				if took < test.atLeast || took > test.atMost {
					t.Errorf("took %s, want %s to %s", took, test.atLeast, test.atMost)
				}
			})
		})
	}
}

func TestTheWaitEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := New(&late{from: 100}).lookup.account(ctx, "dev", "default")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 50*time.Millisecond {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
}

func TestThePodsWordOnMountingGoesBeforeTheAccounts(t *testing.T) {
	t.Parallel()
	yes, no := new(true), new(false)
	tests := []struct {
		pod, account *bool
		want         bool
	}{
		{nil, nil, true},
		{nil, yes, true},
		{nil, no, false},
		{yes, nil, true},
		{yes, no, true},
		{no, nil, false},
		{no, yes, false},
	}
	for _, test := range tests {
		a := account("a", func(a *corev1.ServiceAccount) { a.AutomountServiceAccountToken = test.account })
		p := pod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = test.pod })
		if got := automounts(a, p); got != test.want {
			t.Errorf("pod %v, account %v: got %v, want %v", test.pod, test.account, got, test.want)
		}
	}
}

func TestEnforcementIsReadAsABoolean(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"true": true, "1": true, "T": true, "false": false, "0": false, "yes": false, "": false} {
		a := account("a", func(a *corev1.ServiceAccount) {
			a.Annotations = map[string]string{"kubernetes.io/enforce-mountable-secrets": value}
		})
		if got := enforcesMountableSecrets(a, false); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
	if enforcesMountableSecrets(account("a"), false) {
		t.Error("enforced without the annotation")
	}
}
