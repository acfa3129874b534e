// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// ending is how long a namespace may take to be emptied before it is a finding
// that does not say why.
const ending = time.Minute

// stuckNamespaces are those in deletion of which something is left.
func stuckNamespaces(state *State, now time.Time) []Finding {
	var all []Finding
	for i := range state.Namespaces {
		namespace := &state.Namespaces[i]
		if namespace.DeletionTimestamp == nil {
			continue
		}
		left := leftovers(namespace)
		if len(left) == 0 {
			if now.Sub(namespace.DeletionTimestamp.Time) < ending {
				continue
			}
			left = []string{"its conditions do not say what is left: does a namespace controller run?"}
			if len(namespace.Spec.Finalizers) > 0 {
				left = append(left, fmt.Sprintf("it waits for %v", namespace.Spec.Finalizers))
			}
		}
		all = append(all, Finding{
			Check: StuckNamespace, Object: Object{Kind: "namespace", Name: namespace.Name}, Since: since(namespace.DeletionTimestamp.Time),
			Says: "is being deleted: " + strings.Join(left, "; "),
			Mend: "let the owner of the finalizers or objects end them; if there is none any more, take the finalizers away (kubectl patch OBJECT -n " +
				namespace.Name + ` --type merge -p '{"metadata":{"finalizers":null}}')`,
		})
	}
	return all
}

func leftovers(namespace *corev1.Namespace) []string {
	var all []string
	for _, condition := range namespace.Status.Conditions {
		if condition.Status == corev1.ConditionTrue {
			all = append(all, condition.Message)
		}
	}
	return all
}
