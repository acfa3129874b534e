// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strconv"
)

const mountableAnnotation = "kubernetes.io/enforce-mountable-secrets"

// mountableSecrets are the accounts that rely on a deprecated annotation.
func mountableSecrets(state *State) []Finding {
	var all []Finding
	for _, account := range state.Accounts {
		value, ok := account.Annotations[mountableAnnotation]
		if !ok {
			continue
		}
		says := fmt.Sprintf("%s=%q is deprecated", mountableAnnotation, value)
		if enforced, err := strconv.ParseBool(value); err != nil || !enforced {
			says += ", and with this value of no effect"
		}
		all = append(all, Finding{
			Check: MountableSecrets, Object: Object{"serviceaccount", account.Namespace, account.Name},
			Since: since(account.CreationTimestamp.Time), Says: says,
			Mend: fmt.Sprintf("keep secrets that are not for all in namespaces of their own, then kubectl annotate serviceaccount %s -n %s %s-",
				account.Name, account.Namespace, mountableAnnotation),
		})
	}
	return all
}
