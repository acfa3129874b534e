// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/muster-identity/muster/rbac/bootstrap"
)

// policy is what exists from the start, with the objects.
func policy(t *testing.T, objects ...runtime.Object) *Policy {
	t.Helper()
	p := &Policy{ClusterRoles: bootstrap.ClusterRoles(), ClusterRoleBindings: bootstrap.ClusterRoleBindings(), Roles: bootstrap.Roles(), RoleBindings: bootstrap.RoleBindings()}
	for _, object := range objects {
		if err := p.add(object); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// rule reads "get,list pods,pods/log" and "batch: create jobs", with "=a,b" at
// the end for single objects.
func rule(text string) rbacv1.PolicyRule {
	text, names, named := strings.Cut(text, "=")
	group, rest, grouped := strings.Cut(text, ": ")
	if !grouped {
		group, rest = "", text
	}
	verbs, resources, _ := strings.Cut(rest, " ")
	r := rbacv1.PolicyRule{APIGroups: []string{group}, Verbs: strings.Split(verbs, ","), Resources: strings.Split(resources, ",")}
	if named {
		r.ResourceNames = strings.Split(names, ",")
	}
	return r
}

func rules(texts ...string) []rbacv1.PolicyRule {
	var all []rbacv1.PolicyRule
	for _, text := range texts {
		all = append(all, rule(text))
	}
	return all
}

func role(name string, texts ...string) *rbacv1.Role {
	return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name}, Rules: rules(texts...)}
}

func clusterRole(name string, texts ...string) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules(texts...)}
}

func bound(name, kind, role string, to ...string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name}, RoleRef: rbacv1.RoleRef{Kind: kind, Name: role}, Subjects: subjectsOf(to)}
}

func clusterBound(name, role string, to ...string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role}, Subjects: subjectsOf(to)}
}

func subjectsOf(texts []string) []rbacv1.Subject {
	var all []rbacv1.Subject
	for _, text := range texts {
		s, err := ParseSubject(text)
		if err != nil {
			panic(err)
		}
		all = append(all, s)
	}
	return all
}

func account(name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name}}
}

// told are findings in short.
func told(findings []Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, strings.Join([]string{f.Severity.String(), f.Check, f.Object.Name, f.Says}, " | "))
	}
	return all
}

func TestWhatExistsFromTheStartIsNoFinding(t *testing.T) {
	t.Parallel()
	if got := told(Review(policy(t), nil)); len(got) > 0 {
		t.Errorf("got %q, want nothing", got)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		objects []runtime.Object
		want    []string // in short, of which the end may be missing
	}{
		"somebody was added to the administrators": {
			[]runtime.Object{&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "cluster-admin", Labels: map[string]string{bootstrappingLabel: "rbac-defaults"}}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "cluster-admin"}, Subjects: subjectsOf([]string{"group:system:masters", "jane"})}},
			[]string{"critical | everything | cluster-admin | may do everything everywhere"},
		},
		"an administrator of a namespace": {
			[]runtime.Object{bound("b", "ClusterRole", "cluster-admin", "jane")},
			[]string{"high | everything | b | may do everything in the namespace dev"},
		},
		"tokens, of all and of one": {
			[]runtime.Object{role("all", "create serviceaccounts/token"), role("one", "create serviceaccounts/token=ci"), bound("a", "Role", "all", "jane"), bound("b", "Role", "one", "jane")},
			[]string{"high | becomes-others | a | can become other accounts: requests tokens of accounts", "high | becomes-others | b | can become other accounts: requests tokens of accounts (ci)"},
		},
		"the same for the whole cluster": {
			[]runtime.Object{clusterRole("r", "get secrets", "list secrets", "impersonate users"), clusterBound("b", "r", "jane")},
			[]string{"critical | becomes-others | b | can become other accounts: impersonates users; reads Secrets, and the tokens in them"},
		},
		"a name is of no use to a creation": {
			[]runtime.Object{role("r", "create pods=a"), bound("b", "Role", "r", "jane")}, nil,
		},
		"rights for oneself": {
			[]runtime.Object{role("r", "rbac.authorization.k8s.io: bind roles", "rbac.authorization.k8s.io: create rolebindings"), bound("b", "Role", "r", "jane"), role("half", "rbac.authorization.k8s.io: bind roles"), bound("c", "Role", "half", "jane")},
			[]string{"critical | gives-itself-rights | b | can give itself any rights: binds any role"},
		},
		"certificates take both": {
			[]runtime.Object{clusterRole("r", "certificates.k8s.io: update certificatesigningrequests/approval", "certificates.k8s.io: approve signers=kubernetes.io/kube-apiserver-client"), clusterBound("b", "r", "jane"), clusterRole("half", "certificates.k8s.io: update certificatesigningrequests/approval"), clusterBound("c", "half", "jane")},
			[]string{"critical | becomes-others | b | can become other accounts: approves certificates of anybody"},
		},
		"webhooks": {
			[]runtime.Object{clusterRole("r", "admissionregistration.k8s.io: create,patch mutatingwebhookconfigurations"), clusterBound("b", "r", "jane")},
			[]string{"critical | changes-what-others-write | b | can change or stop what others write: makes mutating webhooks; changes mutating webhooks"},
		},
		"revocations": {
			[]runtime.Object{clusterRole("r", "identity.muster.id: delete tokenrevocations"), clusterBound("b", "r", "jane"), bound("harmless", "ClusterRole", "r", "jane")},
			[]string{"high | undoes-revocations | b"},
		},
		"asterisks": {
			[]runtime.Object{role("r", "* configmaps", "apps: get *"), bound("b", "Role", "r", "jane")},
			[]string{"medium | wildcard | b | may do what is not known yet: every verb on configmaps; every resource of apps"},
		},
		"everybody": {
			[]runtime.Object{role("r", "get configmaps"), account("default"), bound("b", "Role", "r", "group:system:authenticated", "group:system:unauthenticated", "user:system:anonymous", "group:system:serviceaccounts", "group:system:serviceaccounts:dev", "dev/default")},
			[]string{
				"critical | everybody | b | is held by anybody", "critical | everybody | b | is held by anybody", "high | everybody | b | is held by all users",
				"high | everybody | b | is held by every account of every", "medium | everybody | b | is held by every account of a namespace", "medium | default-account | b",
			},
		},
		"what does not exist": {
			[]runtime.Object{bound("b", "Role", "gone", "dev/ci"), account("other")},
			[]string{"medium | missing-role | b", "medium | missing-account | b"},
		},
		"nobody's roles": {
			[]runtime.Object{role("r", "get pods"), clusterRole("c", "get pods"), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "part", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}},
			[]string{"info | unbound-role | c", "info | unbound-role | r"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := told(Review(policy(t, test.objects...), nil))
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestWhatALogDoesNotShowIsUnused(t *testing.T) {
	t.Parallel()
	p := policy(t, account("ci"), role("r", "get,list pods", "get secrets=a,b"), bound("b", "Role", "r", "dev/ci", "jane"))
	used := NewUsage(p.Names().Has)
	used.Add(event("system:serviceaccount:dev:ci", "list", object("", "pods", "", "dev", "")))
	used.Add(event("system:serviceaccount:dev:ci", "get", object("", "pods", "", "prod", "x"))) // by another binding
	used.Add(event("system:serviceaccount:dev:ci", "get", object("", "secrets", "", "dev", "b")))
	var got []string
	for _, f := range Review(p, used) {
		if f.Check == "unused" {
			got = append(got, f.Subjects[0]+" "+f.Says)
		}
	}
	want := []string{"ServiceAccount dev/ci unused since 2026-03-01: get pods", "User jane nothing of it was used since 2026-03-01"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheWorstComesFirst(t *testing.T) {
	t.Parallel()
	found := Review(policy(t, role("r", "get pods"), bound("a", "Role", "gone", "jane"), clusterBound("b", "cluster-admin", "jane")), nil)
	if len(found) < 3 || !slices.IsSortedFunc(found, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) }) {
		t.Errorf("got %q, not from the worst down", told(found))
	}
}
