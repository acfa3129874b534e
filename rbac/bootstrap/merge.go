// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/rbac"
)

// An Action is what brings an existing object to what is wanted.
type Action string

// The actions. A binding's roleRef cannot be updated: another one takes another
// object of the same name.
const (
	Keep     Action = "keep"
	Update   Action = "update"
	Recreate Action = "recreate"
)

// ReconcileClusterRole returns what is to become of an existing role for it to
// have all that wanted has, and how. The result is existing itself to Keep, a
// changed copy to Update. existing and wanted are not changed.
func ReconcileClusterRole(existing, wanted *rbacv1.ClusterRole) (*rbacv1.ClusterRole, Action) {
	if protected(existing) {
		return existing, Keep
	}
	result := existing.DeepCopy()
	changed := mergeMeta(&result.ObjectMeta, wanted.ObjectMeta)
	changed = mergeRules(&result.Rules, wanted.Rules) || changed
	changed = mergeAggregation(result, wanted) || changed
	return updateIf(changed, existing, result)
}

// ReconcileRole is ReconcileClusterRole for a Role.
func ReconcileRole(existing, wanted *rbacv1.Role) (*rbacv1.Role, Action) {
	if protected(existing) {
		return existing, Keep
	}
	result := existing.DeepCopy()
	changed := mergeMeta(&result.ObjectMeta, wanted.ObjectMeta)
	changed = mergeRules(&result.Rules, wanted.Rules) || changed
	return updateIf(changed, existing, result)
}

// ReconcileClusterRoleBinding returns what is to become of an existing binding
// for it to have all that wanted has, and how. The result is existing itself to
// Keep, a changed copy to Update, wanted itself to Recreate. existing and wanted
// are not changed.
func ReconcileClusterRoleBinding(existing, wanted *rbacv1.ClusterRoleBinding) (*rbacv1.ClusterRoleBinding, Action) {
	switch {
	case protected(existing):
		return existing, Keep
	case existing.RoleRef != wanted.RoleRef:
		return wanted, Recreate
	}
	result := existing.DeepCopy()
	changed := mergeMeta(&result.ObjectMeta, wanted.ObjectMeta)
	changed = mergeSubjects(&result.Subjects, wanted.Subjects) || changed
	return updateIf(changed, existing, result)
}

// ReconcileRoleBinding is ReconcileClusterRoleBinding for a RoleBinding.
func ReconcileRoleBinding(existing, wanted *rbacv1.RoleBinding) (*rbacv1.RoleBinding, Action) {
	switch {
	case protected(existing):
		return existing, Keep
	case existing.RoleRef != wanted.RoleRef:
		return wanted, Recreate
	}
	result := existing.DeepCopy()
	changed := mergeMeta(&result.ObjectMeta, wanted.ObjectMeta)
	changed = mergeSubjects(&result.Subjects, wanted.Subjects) || changed
	return updateIf(changed, existing, result)
}

func updateIf[T any](changed bool, existing, result T) (T, Action) {
	if changed {
		return result, Update
	}
	return existing, Keep
}

func protected(obj metav1.Object) bool {
	return obj.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "false"
}

func mergeMeta(into *metav1.ObjectMeta, wanted metav1.ObjectMeta) bool {
	labels := mergeMap(&into.Labels, wanted.Labels)
	annotations := mergeMap(&into.Annotations, wanted.Annotations)
	return labels || annotations
}

// mergeMap adds the keys that are missing. Values that are there stay.
func mergeMap(into *map[string]string, wanted map[string]string) (changed bool) {
	for key, value := range wanted {
		if _, ok := (*into)[key]; ok {
			continue
		}
		if *into == nil {
			*into = map[string]string{}
		}
		(*into)[key] = value
		changed = true
	}
	return changed
}

// mergeRules adds what the rules there do not grant.
func mergeRules(into *[]rbacv1.PolicyRule, wanted []rbacv1.PolicyRule) bool {
	missing := rbac.Uncovered(*into, wanted)
	*into = append(*into, missing...)
	return len(missing) > 0
}

// mergeAggregation adds the selectors that are missing. A role that is not to be
// aggregated is aggregated no longer.
func mergeAggregation(into, wanted *rbacv1.ClusterRole) (changed bool) {
	if wanted.AggregationRule == nil {
		changed = into.AggregationRule != nil
		into.AggregationRule = nil
		return changed
	}
	if into.AggregationRule == nil {
		into.AggregationRule = wanted.AggregationRule.DeepCopy()
		return true
	}
	for _, selector := range wanted.AggregationRule.ClusterRoleSelectors {
		same := func(s metav1.LabelSelector) bool { return equality.Semantic.DeepEqual(s, selector) }
		if !slices.ContainsFunc(into.AggregationRule.ClusterRoleSelectors, same) {
			into.AggregationRule.ClusterRoleSelectors = append(into.AggregationRule.ClusterRoleSelectors, *selector.DeepCopy())
			changed = true
		}
	}
	return changed
}

func mergeSubjects(into *[]rbacv1.Subject, wanted []rbacv1.Subject) (changed bool) {
	for _, subject := range wanted {
		if !slices.Contains(*into, subject) {
			*into = append(*into, subject)
			changed = true
		}
	}
	return changed
}
