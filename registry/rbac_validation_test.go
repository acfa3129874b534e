// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func rbacTexts(errs field.ErrorList) []string {
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return texts
}

func TestRulesOfRolesAreValidated(t *testing.T) {
	t.Parallel()
	urls := rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}}
	for name, test := range map[string]struct {
		rule       rbacv1.PolicyRule
		namespaced bool
		want       []string
	}{
		"of resources": {rule: rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}, namespaced: true},
		"of URLs":      {rule: urls},
		"of nothing": {want: []string{
			"rules[0].verbs: Required value",
			"rules[0].apiGroups: Required value: resource rules must supply at least one api group",
			"rules[0].resources: Required value: resource rules must supply at least one resource",
		}},
		"of URLs in a namespace": {rule: urls, namespaced: true, want: []string{`rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs`}},
		"of both":                {rule: rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}, Resources: []string{"pods"}}, want: []string{`rules[0].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, rbacTexts(validateRules([]rbacv1.PolicyRule{test.rule}, test.namespaced))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAggregationRulesAreValidated(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rule *rbacv1.AggregationRule
		want []string
	}{
		"none":        {},
		"good":        {rule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}}}},
		"no selector": {rule: &rbacv1.AggregationRule{}, want: []string{"aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"}},
		"bad operator": {
			rule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}}},
			want: []string{
				`aggregationRule.clusterRoleSelectors[0].matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator`,
				"aggregationRule.clusterRoleSelectors[0]: Invalid value: null: invalid label selector.",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, rbacTexts(validateAggregation(test.rule))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBindingsAreValidated(t *testing.T) {
	t.Parallel()
	good := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "system:reader"}
	for name, test := range map[string]struct {
		binding rbacv1.RoleBinding
		want    []string
	}{
		"good": {binding: rbacv1.RoleBinding{RoleRef: good, Subjects: []rbacv1.Subject{
			{Kind: "User", Name: "a", APIGroup: rbacv1.GroupName}, {Kind: "Group", Name: "b", APIGroup: rbacv1.GroupName}, {Kind: "ServiceAccount", Name: "c"},
		}}},
		"no role": {binding: rbacv1.RoleBinding{}, want: []string{
			`roleRef.apiGroup: Unsupported value: "": supported values: "rbac.authorization.k8s.io"`,
			`roleRef.kind: Unsupported value: "": supported values: "Role", "ClusterRole"`,
			"roleRef.name: Required value",
		}},
		"role with a path": {binding: rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "a/b"}}, want: []string{
			`roleRef.name: Invalid value: "a/b": may not contain '/'`,
		}},
		"bad subjects": {binding: rbacv1.RoleBinding{RoleRef: good, Subjects: []rbacv1.Subject{
			{Kind: "User", Name: "a"}, {Kind: "Group", APIGroup: rbacv1.GroupName}, {Kind: "ServiceAccount", Name: "C", APIGroup: "v1"}, {Kind: "Robot", Name: "d"},
		}}, want: []string{
			`subjects[0].apiGroup: Unsupported value: "": supported values: "rbac.authorization.k8s.io"`,
			"subjects[1].name: Required value",
			`subjects[2].name: Invalid value: "C": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
			`subjects[2].apiGroup: Unsupported value: "v1": supported values: ""`,
			`subjects[3].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			definition := roleBindings().(*Definition[*rbacv1.RoleBinding])
			if diff := cmp.Diff(test.want, rbacTexts(definition.Validate(&test.binding))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClusterRoleBindingsNameClusterRolesAndNamespaces(t *testing.T) {
	t.Parallel()
	definition := clusterRoleBindings().(*Definition[*rbacv1.ClusterRoleBinding])
	got := rbacTexts(definition.Validate(&rbacv1.ClusterRoleBinding{
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "r"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "bot"}},
	}))
	want := []string{`roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"`, "subjects[0].namespace: Required value"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestABindingKeepsItsRole(t *testing.T) {
	t.Parallel()
	old := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "a"}
	ref := old
	ref.Name = "b"
	want := []string{`roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"b"}: field is immutable`}
	if diff := cmp.Diff(want, rbacTexts(validateSameRole(ref, old))); diff != "" {
		t.Error(diff)
	}
	if errs := validateSameRole(old, old); len(errs) > 0 {
		t.Error(errs)
	}
}

func TestBindingsGetTheirAPIGroups(t *testing.T) {
	t.Parallel()
	binding := &rbacv1.RoleBinding{Subjects: []rbacv1.Subject{{Kind: "User"}, {Kind: "Group"}, {Kind: "ServiceAccount"}, {Kind: "User", APIGroup: "other"}}}
	roleBindings().(*Definition[*rbacv1.RoleBinding]).Default(binding)
	var groups []string
	for _, subject := range binding.Subjects {
		groups = append(groups, subject.APIGroup)
	}
	want := []string{rbacv1.GroupName, rbacv1.GroupName, "", "other"}
	if diff := cmp.Diff(want, groups); diff != "" || binding.RoleRef.APIGroup != rbacv1.GroupName {
		t.Errorf("roleRef %q, subjects %s", binding.RoleRef.APIGroup, diff)
	}
}

func TestBindingsPrintTheirSubjectsBySort(t *testing.T) {
	t.Parallel()
	definition := clusterRoleBindings().(*Definition[*rbacv1.ClusterRoleBinding])
	row := definition.Row(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "n"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "r"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "a"}, {Kind: "User", Name: "b"}, {Kind: "Group", Name: "g"}, {Kind: "ServiceAccount", Namespace: "dev", Name: "bot"}},
	})
	if diff := cmp.Diff([]any{"n", "ClusterRole/r", "<unknown>", "a, b", "g", "dev/bot"}, row); diff != "" {
		t.Error(diff)
	}
	if len(row) != len(definition.Columns) {
		t.Errorf("%d cells in %d columns", len(row), len(definition.Columns))
	}
}
