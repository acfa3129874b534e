// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// unusedTokens are the pods with a token that the log has no use of, since they
// were created or, where they are older, since the log begins.
func unusedTokens(state *State, uses *Uses) []Finding {
	var all []Finding
	for i := range state.Pods {
		pod := &state.Pods[i]
		if ended(pod) || !hasToken(pod) || uses.pods[pod.UID] {
			continue
		}
		begun, says := pod.CreationTimestamp.Time, "has a token of account %s and has not used it"
		// The API tells whole seconds.
		if uses.From.Truncate(time.Second).After(begun) {
			begun, says = uses.From, says+" since the log begins"
		}
		all = append(all, Finding{
			Check: UnusedToken, Object: Object{"pod", pod.Namespace, pod.Name}, Since: since(begun),
			Says: fmt.Sprintf(says, pod.Spec.ServiceAccountName),
			Mend: "set automountServiceAccountToken: false in what makes the pod, or, if only other services see the token, give it one for their audience alone",
		})
	}
	return all
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed || pod.DeletionTimestamp != nil
}

// hasToken tells whether a token for the API is in the pod's volumes. One for
// somebody else is not shown to the server that writes the log.
func hasToken(pod *corev1.Pod) bool {
	for _, volume := range pod.Spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ServiceAccountToken != nil && source.ServiceAccountToken.Audience == "" {
				return true
			}
		}
	}
	return false
}
