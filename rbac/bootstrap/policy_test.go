// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/yaml"

	"github.com/muster-identity/muster/rbac"
	"github.com/muster-identity/muster/rbac/bootstrap"
)

var update = flag.Bool("update", false, "write what is to exist from the start to testdata")

// all are the objects that exist from the start, by file.
func all() map[string][]runtime.Object {
	files := map[string][]runtime.Object{}
	for _, obj := range bootstrap.ClusterRoles() {
		obj.TypeMeta = metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"}
		files["cluster-roles.yaml"] = append(files["cluster-roles.yaml"], obj)
	}
	for _, obj := range bootstrap.ClusterRoleBindings() {
		obj.TypeMeta = metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"}
		files["cluster-role-bindings.yaml"] = append(files["cluster-role-bindings.yaml"], obj)
	}
	for _, obj := range bootstrap.Roles() {
		obj.TypeMeta = metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"}
		files["roles.yaml"] = append(files["roles.yaml"], obj)
	}
	for _, obj := range bootstrap.RoleBindings() {
		obj.TypeMeta = metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"}
		files["role-bindings.yaml"] = append(files["role-bindings.yaml"], obj)
	}
	return files
}

func TestWhatExistsFromTheStartChangesOnlyOnPurpose(t *testing.T) {
	t.Parallel()
	for file, objects := range all() {
		var got bytes.Buffer
		for i, obj := range objects {
			if i > 0 {
				got.WriteString("---\n")
			}
			text, err := yaml.Marshal(obj)
			if err != nil {
				t.Fatal(err)
			}
			got.Write(text)
		}
		path := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got; -update accepts it):\n%s", file, diff)
		}
	}
}

func TestAllIsMarkedAndInItsPlace(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for file, objects := range all() {
		for _, obj := range objects {
			m := obj.(metav1.Object)
			name := file + "/" + m.GetName()
			if names[name] {
				t.Errorf("%s is there twice", name)
			}
			names[name] = true
			if m.GetLabels()["kubernetes.io/bootstrapping"] != "rbac-defaults" || m.GetAnnotations()["rbac.authorization.kubernetes.io/autoupdate"] != "true" {
				t.Errorf("%s has labels %v and annotations %v", name, m.GetLabels(), m.GetAnnotations())
			}
			want := "kube-system"
			if strings.HasPrefix(file, "cluster-") {
				want = ""
			}
			if m.GetNamespace() != want {
				t.Errorf("%s is in namespace %q, want %q", name, m.GetNamespace(), want)
			}
		}
	}
}

// index holds all that exists from the start, aggregation done, and what the
// test adds.
func index(t *testing.T, more ...runtime.Object) *rbac.Index {
	t.Helper()
	index := rbac.NewIndex()
	roles := bootstrap.ClusterRoles()
	// Thrice, since admin is made of edit, which is made of view.
	for range 3 {
		for _, role := range roles {
			rules, err := rbac.Aggregate(role, roles)
			if err != nil {
				t.Fatal(err)
			}
			role.Rules = rules
		}
	}
	for _, role := range roles {
		index.Set(role)
	}
	for file, objects := range all() {
		if file == "cluster-roles.yaml" {
			continue
		}
		for _, obj := range objects {
			index.Set(obj)
		}
	}
	for _, obj := range more {
		index.Set(obj)
	}
	return index
}

var (
	anonymous = &user.DefaultInfo{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}
	account   = &user.DefaultInfo{
		Name:   "system:serviceaccount:a:default",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"},
	}
	person  = &user.DefaultInfo{Name: "ann", Groups: []string{"system:authenticated"}}
	scraper = &user.DefaultInfo{Name: "prometheus", Groups: []string{"system:monitoring", "system:authenticated"}}
)

func TestWhoMayReadWhichPath(t *testing.T) {
	t.Parallel()
	x := index(t)
	tests := []struct {
		path string
		// may are those of anonymous, account, person and scraper, by letter.
		may string
	}{
		{"/healthz", "aips"},
		{"/livez", "aips"},
		{"/readyz", "aips"},
		{"/version", "aips"},
		{"/version/", "aips"},
		{"/healthz/etcd", "s"},
		{"/readyz/ping", "s"},
		{"/metrics", "s"},
		{"/metrics/slis", "s"},
		{"/flagz", "s"},
		{"/api", "ips"},
		{"/api/v1", "ips"},
		{"/apis", "ips"},
		{"/apis/batch/v1", "ips"},
		{"/openapi/v2", "ips"},
		{"/openapi/v3/api/v1", "ips"},
		{"/.well-known/openid-configuration", "i"},
		{"/openid/v1/jwks", "i"},
		{"/", ""},
		{"/debug/pprof", ""},
		{"/logs", ""},
	}
	users := map[string]user.Info{"a": anonymous, "i": account, "p": person, "s": scraper}
	for _, test := range tests {
		for letter, u := range users {
			want := strings.Contains(test.may, letter)
			if got := x.Decide(u, authorizer.AttributesRecord{User: u, Verb: "get", Path: test.path}); got.Allowed != want {
				t.Errorf("%s reads %s: %v, want %v", u.GetName(), test.path, got.Allowed, want)
			}
			if got := x.Decide(u, authorizer.AttributesRecord{User: u, Verb: "post", Path: test.path}); got.Allowed {
				t.Errorf("%s writes %s", u.GetName(), test.path)
			}
		}
	}
}

func TestAFreshServiceAccountMayOnlyAskAboutItself(t *testing.T) {
	t.Parallel()
	x := index(t)
	for _, u := range []user.Info{anonymous, account} {
		rules, err := x.RulesFor(u, "a")
		if err != nil {
			t.Error(err)
		}
		var got []string
		for _, rule := range rules {
			for _, resource := range rule.Resources {
				got = append(got, strings.Join(rule.Verbs, ",")+" "+strings.Join(rule.APIGroups, ",")+"/"+resource)
			}
		}
		want := []string{
			"create authorization.k8s.io/selfsubjectaccessreviews",
			"create authorization.k8s.io/selfsubjectrulesreviews",
			"create authentication.k8s.io/selfsubjectreviews",
			"get,list,watch certificates.k8s.io/clustertrustbundles",
		}
		if u == anonymous {
			want = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("resources of %s (-want +got):\n%s", u.GetName(), diff)
		}
	}
}

func TestWhatAdminsEditorsAndViewersMayDo(t *testing.T) {
	t.Parallel()
	var bindings []runtime.Object
	for _, role := range []string{"admin", "edit", "view"} {
		bindings = append(bindings, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: "User", Name: role}},
		})
	}
	x := index(t, bindings...)
	tests := []struct {
		verb, group, resource, subresource string
		admin, edit, view                  bool
	}{
		{"get", "", "pods", "", true, true, true},
		{"get", "", "pods", "status", true, true, true},
		{"update", "", "pods", "status", false, false, false},
		{"create", "", "pods", "", true, true, false},
		{"create", "", "pods", "binding", false, false, false},
		{"get", "", "namespaces", "", true, true, true},
		{"delete", "", "namespaces", "", false, false, false},
		{"list", "", "secrets", "", true, true, false},
		{"create", "", "secrets", "", true, true, false},
		{"watch", "", "serviceaccounts", "", true, true, true},
		{"patch", "", "serviceaccounts", "", true, true, false},
		{"impersonate", "", "serviceaccounts", "", true, true, false},
		{"create", "", "serviceaccounts", "token", true, true, false},
		{"list", "events.k8s.io", "events", "", true, true, true},
		{"deletecollection", "", "events", "", true, true, false},
		{"get", "batch", "jobs", "status", true, true, true},
		{"delete", "batch", "jobs", "", true, true, false},
		{"get", "coordination.k8s.io", "leases", "", true, true, false},
		{"update", "rbac.authorization.k8s.io", "rolebindings", "", true, false, false},
		{"get", "rbac.authorization.k8s.io", "roles", "", true, false, false},
		{"escalate", "rbac.authorization.k8s.io", "roles", "", false, false, false},
		{"create", "authorization.k8s.io", "localsubjectaccessreviews", "", true, false, false},
		{"create", "authorization.k8s.io", "subjectaccessreviews", "", false, false, false},
		{"create", "authentication.k8s.io", "tokenreviews", "", false, false, false},
		{"get", "", "nodes", "", false, false, false},
	}
	for _, test := range tests {
		for name, want := range map[string]bool{"admin": test.admin, "edit": test.edit, "view": test.view} {
			u := &user.DefaultInfo{Name: name}
			request := authorizer.AttributesRecord{
				User: u, ResourceRequest: true, Namespace: "a",
				Verb: test.verb, APIGroup: test.group, Resource: test.resource, Subresource: test.subresource,
			}
			if got := x.Decide(u, request); got.Allowed != want {
				t.Errorf("%s may %s %s/%s/%s: %v, want %v", name, test.verb, test.group, test.resource, test.subresource, got.Allowed, want)
			}
			request.Namespace = "b"
			if got := x.Decide(u, request); got.Allowed {
				t.Errorf("%s may %s %s in another namespace", name, test.verb, test.resource)
			}
		}
	}
}

func TestMembersOfMastersMayDoEverything(t *testing.T) {
	t.Parallel()
	root := &user.DefaultInfo{Name: "root", Groups: []string{"system:masters"}}
	everything := []rbacv1.PolicyRule{
		{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
		{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
	}
	if err := index(t).ConfirmNoEscalation(root, "", rbacv1.Resource("clusterroles"), everything); err != nil {
		t.Error(err)
	}
}
