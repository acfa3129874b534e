// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// lastUsedLabel is the day of the last use of a Secret's token.
	lastUsedLabel = "kubernetes.io/legacy-token-last-used"
	// invalidLabel is the day since when that token is not accepted any more.
	invalidLabel = "kubernetes.io/legacy-token-invalid-since"
)

// legacyTokens are the Secrets whose tokens have been used. Those that never were
// are for the cleaner.
func legacyTokens(state *State, uses *Uses) []Finding {
	var all []Finding
	for _, secret := range state.TokenSecrets {
		day, used := secret.Labels[lastUsedLabel]
		if !used {
			continue
		}
		account := secret.Annotations[corev1.ServiceAccountNameKey]
		says := fmt.Sprintf("a token without an end of account %s, last used on %s", account, day)
		if day := secret.Labels[invalidLabel]; day != "" {
			says += ", refused since " + day
		}
		begun := secret.CreationTimestamp.Time
		if use := uses.legacy(secret.Namespace, secret.Name); use != nil {
			says += fmt.Sprintf("; in the log since %s, by %s", use.first.UTC().Format(time.RFC3339), strings.Join(use.callers(), ", "))
		}
		all = append(all, Finding{
			Check: LegacyToken, Object: Object{"secret", secret.Namespace, secret.Name}, Since: since(begun), Says: says,
			Mend: fmt.Sprintf("give its holder tokens that end (kubectl create token %s -n %s, or a projected volume), then kubectl delete secret %s -n %s",
				account, secret.Namespace, secret.Name, secret.Namespace),
		})
	}
	return all
}

// callers are where a token came from, the same each time.
func (u *legacyUse) callers() []string {
	var all []string
	for caller := range u.from {
		all = append(all, caller)
	}
	slices.Sort(all)
	return all
}
