// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Escalation tells whether a user who gives rights away holds them. Calls may
// overlap.
type Escalation interface {
	// ConfirmNoEscalation returns nil if what u may do in namespace ("" for
	// the whole cluster) covers all rules. Else the error says who lacks what,
	// in words for the client; it becomes the reason of a refusal (403).
	ConfirmNoEscalation(ctx context.Context, u user.Info, namespace string, rules []rbacv1.PolicyRule) error
	// RulesOf returns the rules of the role that a binding in namespace refers
	// to. A role that does not exist is an API error, NotFound of that role.
	RulesOf(ctx context.Context, namespace string, ref rbacv1.RoleRef) ([]rbacv1.PolicyRule, error)
}

// grant is what somebody who writes a role gives to those who are bound to it.
type grant struct {
	rules      []rbacv1.PolicyRule
	aggregates bool
}

// everything is what an aggregation rule may come to grant.
func everything() []rbacv1.PolicyRule {
	all := []string{"*"}
	return []rbacv1.PolicyRule{{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all}}
}

// guardRoles keeps the storage of a kind of roles from writes by which users
// would get rights that they do not hold, unless they have the verb escalate
// (Kubernetes: pkg/registry/rbac/role/policybased).
func guardRoles[T Object](env Environment, storage map[string]rest.Storage, plural string, grantOf func(obj, old T) grant) error {
	guard, err := newRBACGuard(env.Services, plural)
	if err != nil {
		return err
	}
	storage[plural] = &guarded[T]{
		named:  storage[plural].(*named),
		exempt: func(ctx context.Context, u user.Info, _ T) bool { return guard.mayEscalate(ctx, u) },
		refuse: func(ctx context.Context, u user.Info, obj, old T) error {
			return guard.refuseGrant(ctx, u, obj.GetName(), grantOf(obj, old))
		},
	}
	return nil
}

// guardBindings does the same for bindings; the verb is bind, on the role that
// a binding refers to (Kubernetes: pkg/registry/rbac/rolebinding/policybased).
func guardBindings[T Object](env Environment, storage map[string]rest.Storage, plural string, refOf func(obj T) rbacv1.RoleRef) error {
	guard, err := newRBACGuard(env.Services, plural)
	if err != nil {
		return err
	}
	storage[plural] = &guarded[T]{
		named:  storage[plural].(*named),
		exempt: func(ctx context.Context, u user.Info, obj T) bool { return guard.mayBind(ctx, u, refOf(obj)) },
		refuse: func(ctx context.Context, u user.Info, obj, _ T) error {
			return guard.refuseBinding(ctx, u, obj.GetName(), refOf(obj))
		},
	}
	return nil
}

// guarded is a storage whose writes have been checked for escalation.
type guarded[T Object] struct {
	*named
	// exempt tells whether u holds the verb that makes any such write lawful.
	exempt func(ctx context.Context, u user.Info, obj T) bool
	// refuse returns the error for a write that gives away too much, or nil.
	refuse func(ctx context.Context, u user.Info, obj, old T) error
}

// Create checks and stores a new object.
func (g *guarded[T]) Create(ctx context.Context, obj runtime.Object, admit rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	var none T
	if err := g.check(ctx, obj.(T), none); err != nil {
		return nil, err
	}
	return g.named.Create(ctx, obj, admit, options)
}

// Update checks a change at each attempt to store it, against the object that
// the attempt found.
func (g *guarded[T]) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, allowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	checked := rest.WrapUpdatedObjectInfo(info, func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
		if onlyForCollector(obj.(T), old.(T)) {
			return obj, nil
		}
		return obj, g.check(ctx, obj.(T), old.(T))
	})
	return g.named.Update(ctx, name, checked, create, update, allowCreate, options)
}

func (g *guarded[T]) check(ctx context.Context, obj, old T) error {
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return apierrors.NewForbidden(g.DefaultQualifiedResource, obj.GetName(), errors.New("no user on context"))
	}
	// The server's own client is a member, so that controllers pass.
	if slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) || g.exempt(ctx, u, obj) {
		return nil
	}
	return g.refuse(ctx, u, obj, old)
}

// onlyForCollector tells whether obj differs from old in nothing but what the
// garbage collector writes: whoever may update may let it do its work. A client
// need not repeat the kind.
func onlyForCollector[T Object](obj, old T) bool {
	masked := obj.DeepCopyObject().(T)
	masked.GetObjectKind().SetGroupVersionKind(old.GetObjectKind().GroupVersionKind())
	masked.SetOwnerReferences(old.GetOwnerReferences())
	masked.SetFinalizers(old.GetFinalizers())
	masked.SetSelfLink(old.GetSelfLink())
	masked.SetManagedFields(old.GetManagedFields())
	return apiequality.Semantic.DeepEqual(masked, old)
}

// rbacGuard asks the questions that precede the writes of one resource.
type rbacGuard struct {
	resource   schema.GroupResource
	authorizer authorizer.UnconditionalAuthorizer
	escalation Escalation
}

func newRBACGuard(services Services, plural string) (*rbacGuard, error) {
	if services.Authorizer == nil || services.Escalation == nil {
		return nil, errors.New("nobody to check for escalation")
	}
	return &rbacGuard{
		resource:   rbacv1.SchemeGroupVersion.WithResource(plural).GroupResource(),
		authorizer: services.Authorizer,
		escalation: services.Escalation,
	}, nil
}

// mayEscalate asks for the verb escalate on the object of the request. A POST
// names none, so that only an unnamed permission covers it.
func (g *rbacGuard) mayEscalate(ctx context.Context, u user.Info) bool {
	info, ok := genericapirequest.RequestInfoFrom(ctx)
	if !ok || !info.IsResourceRequest || info.APIGroup != g.resource.Group || info.Resource != g.resource.Resource {
		return false
	}
	return g.allowed(ctx, authorizer.AttributesRecord{
		User:            u,
		Verb:            "escalate",
		APIGroup:        info.APIGroup,
		APIVersion:      "*",
		Resource:        info.Resource,
		Name:            info.Name,
		Namespace:       info.Namespace,
		ResourceRequest: true,
	})
}

// mayBind asks for the verb bind on the role, in the namespace of the binding:
// a cluster role may be lent out in one namespace and not in another.
func (g *rbacGuard) mayBind(ctx context.Context, u user.Info, ref rbacv1.RoleRef) bool {
	resource, ok := map[string]string{"ClusterRole": "clusterroles", "Role": "roles"}[ref.Kind]
	if !ok {
		return false
	}
	return g.allowed(ctx, authorizer.AttributesRecord{
		User:            u,
		Verb:            "bind",
		APIGroup:        ref.APIGroup,
		APIVersion:      "*",
		Resource:        resource,
		Name:            ref.Name,
		Namespace:       genericapirequest.NamespaceValue(ctx),
		ResourceRequest: true,
	})
}

func (g *rbacGuard) allowed(ctx context.Context, attributes authorizer.AttributesRecord) bool {
	decision, _, err := g.authorizer.Authorize(ctx, attributes)
	if err != nil {
		utilruntime.HandleErrorWithContext(ctx, err, "Authorizing a grant", "user", attributes.User.GetName(),
			"verb", attributes.Verb, "resource", attributes.Resource, "namespace", attributes.Namespace, "name", attributes.Name)
	}
	return decision == authorizer.DecisionAllow
}

func (g *rbacGuard) refuseGrant(ctx context.Context, u user.Info, name string, granted grant) error {
	if err := g.refuseRules(ctx, u, name, granted.rules); err != nil {
		return err
	}
	if granted.aggregates && g.refuseRules(ctx, u, name, everything()) != nil {
		return apierrors.NewForbidden(g.resource, name, errors.New("must have cluster-admin privileges to use the aggregationRule"))
	}
	return nil
}

func (g *rbacGuard) refuseBinding(ctx context.Context, u user.Info, name string, ref rbacv1.RoleRef) error {
	rules, err := g.escalation.RulesOf(ctx, genericapirequest.NamespaceValue(ctx), ref)
	if apierrors.IsNotFound(err) {
		// Kubernetes names the resource of the request, and not that of the role.
		return apierrors.NewNotFound(g.resource, ref.Name)
	}
	if err != nil {
		return err
	}
	return g.refuseRules(ctx, u, name, rules)
}

func (g *rbacGuard) refuseRules(ctx context.Context, u user.Info, name string, rules []rbacv1.PolicyRule) error {
	err := g.escalation.ConfirmNoEscalation(ctx, u, genericapirequest.NamespaceValue(ctx), rules)
	if err != nil {
		return apierrors.NewForbidden(g.resource, name, err)
	}
	return nil
}
