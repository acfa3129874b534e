// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// readPods is the one rule that everybody holds; there is one role, reader,
// which grants it, and one, writer, which grants more.
var (
	readPods  = rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}
	writePods = rbacv1.PolicyRule{Verbs: []string{"update"}, APIGroups: []string{""}, Resources: []string{"pods"}}
)

// escalationRules lets a member of "holders" have anything in any namespace.
type escalationRules struct{}

func (escalationRules) ConfirmNoEscalation(_ context.Context, u user.Info, _ string, rules []rbacv1.PolicyRule) error {
	if slices.Contains(u.GetGroups(), "holders") {
		return nil
	}
	for _, rule := range rules {
		if !apiequality.Semantic.DeepEqual(rule, readPods) {
			return errors.New("user lacks a rule")
		}
	}
	return nil
}

func (escalationRules) RulesOf(_ context.Context, _ string, ref rbacv1.RoleRef) ([]rbacv1.PolicyRule, error) {
	switch ref.Name {
	case "reader":
		return []rbacv1.PolicyRule{readPods}, nil
	case "writer":
		return []rbacv1.PolicyRule{writePods}, nil
	default:
		return nil, apierrors.NewNotFound(rbacv1.Resource("roles"), ref.Name)
	}
}

// escalationVerbs allows what stands in it, "verb resource namespace/name".
type escalationVerbs struct {
	authorizer.Authorizer
	allowed string
}

func (v escalationVerbs) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	asked := a.GetVerb() + " " + a.GetResource() + "." + a.GetAPIGroup() + " " + a.GetNamespace() + "/" + a.GetName()
	if v.allowed == asked && a.IsResourceRequest() {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func escalationServices(allowed string) Services {
	return Services{Authorizer: escalationVerbs{allowed: allowed}, Escalation: escalationRules{}}
}

// escalationContext is a request by ann, on the object name of resource.
func escalationContext(t *testing.T, namespace, resource, name string, groups ...string) context.Context {
	ctx := genericapirequest.WithNamespace(t.Context(), namespace)
	ctx = genericapirequest.WithUser(ctx, &user.DefaultInfo{Name: "ann", Groups: groups})
	return genericapirequest.WithRequestInfo(ctx, &genericapirequest.RequestInfo{
		IsResourceRequest: true, APIGroup: rbacv1.GroupName, Resource: resource, Namespace: namespace, Name: name,
	})
}

// escalationGuard is the guard of a resource with no store behind it.
func escalationGuard[T Object](t *testing.T, resource Resource, allowed string) *guarded[T] {
	t.Helper()
	definition := resource.(*Definition[T])
	plural := definition.Plural
	store := &genericregistry.Store{DefaultQualifiedResource: definition.GroupVersionResource().GroupResource()}
	storage := map[string]rest.Storage{plural: &named{Store: store}}
	if err := definition.Extend(Environment{Services: escalationServices(allowed)}, store, storage); err != nil {
		t.Fatal(err)
	}
	return storage[plural].(*guarded[T])
}

func TestWritersOfRolesHoldWhatTheyGrant(t *testing.T) {
	t.Parallel()
	aggregation := &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{}}}
	reader := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{readPods}}
	writer := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{writePods}}
	gatherer := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, AggregationRule: aggregation}
	const lacks = `clusterroles.rbac.authorization.k8s.io "r" is forbidden: user lacks a rule`
	const gathers = `clusterroles.rbac.authorization.k8s.io "r" is forbidden: must have cluster-admin privileges to use the aggregationRule`
	for name, test := range map[string]struct {
		role    rbacv1.ClusterRole
		old     *rbacv1.ClusterRole
		groups  []string
		allowed string
		want    string
	}{
		"grants what is held":                 {role: reader},
		"grants more":                         {role: writer, want: lacks},
		"grants more with the verb":           {role: writer, allowed: "escalate clusterroles.rbac.authorization.k8s.io /r"},
		"grants more with another's verb":     {role: writer, allowed: "escalate clusterroles.rbac.authorization.k8s.io /s", want: lacks},
		"grants more as an administrator":     {role: writer, groups: []string{"system:masters"}},
		"aggregates":                          {role: gatherer, want: gathers},
		"aggregates and holds everything":     {role: gatherer, groups: []string{"holders"}},
		"aggregates no more":                  {role: reader, old: &gatherer, want: gathers},
		"is changed and holds what it grants": {role: reader, old: &writer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guard := escalationGuard[*rbacv1.ClusterRole](t, clusterRoles(), test.allowed)
			err := guard.check(escalationContext(t, "", "clusterroles", "r", test.groups...), &test.role, test.old)
			expectRefusal(t, err, test.want)
		})
	}
}

func TestWritersOfBindingsHoldWhatTheRoleGrants(t *testing.T) {
	t.Parallel()
	const lacks = `rolebindings.rbac.authorization.k8s.io "b" is forbidden: user lacks a rule`
	for name, test := range map[string]struct {
		kind, role string
		groups     []string
		allowed    string
		want       string
	}{
		"to a role that is held":                {kind: "Role", role: "reader"},
		"to a role that is not":                 {kind: "Role", role: "writer", want: lacks},
		"with the verb on the role":             {kind: "Role", role: "writer", allowed: "bind roles.rbac.authorization.k8s.io dev/writer"},
		"with the verb on the cluster role":     {kind: "ClusterRole", role: "writer", allowed: "bind clusterroles.rbac.authorization.k8s.io dev/writer"},
		"with the verb in another namespace":    {kind: "ClusterRole", role: "writer", allowed: "bind clusterroles.rbac.authorization.k8s.io ops/writer", want: lacks},
		"with the verb on another sort of role": {kind: "Role", role: "writer", allowed: "bind clusterroles.rbac.authorization.k8s.io dev/writer", want: lacks},
		"to no role":                            {kind: "Role", role: "ghost", want: `rolebindings.rbac.authorization.k8s.io "ghost" not found`},
		"to no role as an administrator":        {kind: "Role", role: "ghost", groups: []string{"system:masters"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guard := escalationGuard[*rbacv1.RoleBinding](t, roleBindings(), test.allowed)
			binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "b"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: test.kind, Name: test.role}}
			err := guard.check(escalationContext(t, "dev", "rolebindings", "b", test.groups...), binding, nil)
			expectRefusal(t, err, test.want)
		})
	}
}

func expectRefusal(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && (err == nil || err.Error() != want):
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestAWriterWithoutAUserIsRefused(t *testing.T) {
	t.Parallel()
	guard := escalationGuard[*rbacv1.Role](t, roles(), "")
	err := guard.check(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "r"}}, nil)
	expectRefusal(t, err, `roles.rbac.authorization.k8s.io "r" is forbidden: no user on context`)
}

func TestTheCollectorsFieldsGrantNothing(t *testing.T) {
	t.Parallel()
	old := &rbacv1.Role{TypeMeta: metav1.TypeMeta{Kind: "Role", APIVersion: "rbac.authorization.k8s.io/v1"}, ObjectMeta: metav1.ObjectMeta{Name: "r", Finalizers: []string{"a/b"}}, Rules: []rbacv1.PolicyRule{writePods}}
	collected := old.DeepCopy()
	collected.TypeMeta = metav1.TypeMeta{}
	collected.Finalizers = nil
	collected.OwnerReferences = []metav1.OwnerReference{{Name: "o"}}
	labelled := collected.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	if !onlyForCollector(collected, old) || onlyForCollector(labelled, old) {
		t.Errorf("collected %v, labelled %v", onlyForCollector(collected, old), onlyForCollector(labelled, old))
	}
	if len(collected.OwnerReferences) != 1 {
		t.Error("the comparison changed the object")
	}
}

func TestRBACNeedsItsCollaborators(t *testing.T) {
	t.Parallel()
	storage := map[string]rest.Storage{"roles": &named{}}
	if err := guardRoles(Environment{}, storage, "roles", roleGrant); err == nil {
		t.Error("guarded by nobody")
	}
}

func TestGuardedStorage(t *testing.T) {
	t.Parallel()
	storage := etcdStorage(t, roles(), escalationServices(""))["roles"].(rest.StandardStorage)
	ctx := escalationContext(t, "dev", "roles", "system:r")
	create := func(ctx context.Context, rules ...rbacv1.PolicyRule) error {
		role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "system:r"}, Rules: rules}
		_, err := storage.Create(ctx, role, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		return err
	}
	update := func(change func(*rbacv1.Role)) error {
		info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
			role := old.DeepCopyObject().(*rbacv1.Role)
			role.Name = "system:r"
			change(role)
			return role, nil
		})
		_, _, err := storage.Update(ctx, "system:r", info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		return err
	}
	widen := func(role *rbacv1.Role) { role.Rules = []rbacv1.PolicyRule{writePods} }

	if err := create(ctx, writePods); !apierrors.IsForbidden(err) {
		t.Errorf("creating what grants more: %v", err)
	}
	if err := update(widen); !apierrors.IsForbidden(err) {
		t.Errorf("creating by an update what grants more: %v", err)
	}
	if err := update(func(role *rbacv1.Role) { role.Rules = []rbacv1.PolicyRule{readPods} }); err != nil {
		t.Errorf("creating by an update: %v", err)
	}
	if err := update(widen); !apierrors.IsForbidden(err) {
		t.Errorf("widening: %v", err)
	}
	if _, _, err := storage.Delete(ctx, "system:r", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := create(escalationContext(t, "dev", "roles", "", "system:masters"), writePods); err != nil {
		t.Fatal(err)
	}
	if err := update(func(role *rbacv1.Role) { role.Finalizers = []string{"example.com/x"} }); err != nil {
		t.Errorf("writing a finalizer of a role that grants more: %v", err)
	}
	if err := update(func(role *rbacv1.Role) { role.Labels = map[string]string{"a": "b"} }); !apierrors.IsForbidden(err) {
		t.Errorf("labelling a role that grants more: %v", err)
	}
}
