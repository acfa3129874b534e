// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditions are all five conditions of a namespace that is being emptied, with
// the types and reasons of Kubernetes. The first two never fail here: what is
// served is known without discovery, and its versions are not parsed.
func (l leftovers) conditions() []corev1.NamespaceCondition {
	return []corev1.NamespaceCondition{
		fine(corev1.NamespaceDeletionDiscoveryFailure, "ResourcesDiscovered", "Every served resource is known"),
		fine(corev1.NamespaceDeletionGVParsingFailure, "ParsedGroupVersions", "Every served group and version is known"),
		l.failureCondition(),
		l.remainingCondition(),
		l.finalizersCondition(),
	}
}

func (l leftovers) failureCondition() corev1.NamespaceCondition {
	if len(l.failures) == 0 {
		return fine(corev1.NamespaceDeletionContentFailure, "ContentDeleted", "Everything was deleted, though some may wait for finalizers")
	}
	var messages []string
	for _, err := range l.failures {
		messages = append(messages, err.Error())
	}
	slices.Sort(messages)
	return wrong(corev1.NamespaceDeletionContentFailure, "ContentDeletionFailed", "Some content could not be deleted: "+strings.Join(messages, "; "))
}

func (l leftovers) remainingCondition() corev1.NamespaceCondition {
	if len(l.remaining) == 0 {
		return fine(corev1.NamespaceContentRemaining, "ContentRemoved", "Nothing is left in the namespace")
	}
	return wrong(corev1.NamespaceContentRemaining, "SomeResourcesRemain", "Still in the namespace: "+counts(l.remaining))
}

func (l leftovers) finalizersCondition() corev1.NamespaceCondition {
	if len(l.finalizers) == 0 {
		return fine(corev1.NamespaceFinalizersRemaining, "ContentHasNoFinalizers", "Nothing in the namespace waits for a finalizer")
	}
	return wrong(corev1.NamespaceFinalizersRemaining, "SomeFinalizersRemain", "Finalizers that objects wait for: "+counts(l.finalizers))
}

// counts writes a map as "a (1), b (2)", in the order of the names, so that the
// same contents make the same message.
func counts[K comparable](of map[K]int) string {
	var parts []string
	for what, count := range of {
		parts = append(parts, fmt.Sprintf("%v (%d)", what, count))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func fine(kind corev1.NamespaceConditionType, reason, message string) corev1.NamespaceCondition {
	return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message}
}

func wrong(kind corev1.NamespaceConditionType, reason, message string) corev1.NamespaceCondition {
	return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message}
}

// setConditions brings conditions into a status and returns whether any changed.
// The time of transition is that of a new status, not of a new message. The
// conditions of others stay.
func setConditions(status *corev1.NamespaceStatus, conditions []corev1.NamespaceCondition, now time.Time) bool {
	changed := false
	for _, condition := range conditions {
		at := slices.IndexFunc(status.Conditions, func(c corev1.NamespaceCondition) bool { return c.Type == condition.Type })
		if at < 0 {
			condition.LastTransitionTime = metav1.NewTime(now)
			status.Conditions = append(status.Conditions, condition)
			changed = true
			continue
		}
		current := &status.Conditions[at]
		condition.LastTransitionTime = current.LastTransitionTime
		if *current == condition {
			continue
		}
		if current.Status != condition.Status {
			condition.LastTransitionTime = metav1.NewTime(now)
		}
		*current = condition
		changed = true
	}
	return changed
}
