// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// A holder is a user or a group, as one that rules are granted to in a
// namespace, or everywhere if namespace is empty. A service account is held by
// its user name, so that a subject of kind User with that name is the same.
type holder struct {
	group     bool
	name      string
	namespace string
}

// holderOf returns whom a subject of a binding names. bindingNamespace is empty
// for a ClusterRoleBinding. Subjects that can match nobody have no holder.
func holderOf(subject *rbacv1.Subject, bindingNamespace string) (holder, bool) {
	switch subject.Kind {
	case rbacv1.UserKind:
		return holder{name: subject.Name, namespace: bindingNamespace}, true
	case rbacv1.GroupKind:
		return holder{group: true, name: subject.Name, namespace: bindingNamespace}, true
	case rbacv1.ServiceAccountKind:
		home := homeOf(subject, bindingNamespace)
		if home == "" {
			return holder{}, false
		}
		return holder{name: serviceaccount.MakeUsername(home, subject.Name), namespace: bindingNamespace}, true
	default:
		return holder{}, false
	}
}

// subject is the subject of the binding that the grant is to, with the namespace
// filled in for a service account.
func (g *grant) subject() rbacv1.Subject {
	switch {
	case g.account:
		name := strings.TrimPrefix(g.holder.name, serviceaccount.ServiceAccountUsernamePrefix)
		// At the last colon: the name of an account has none.
		colon := strings.LastIndex(name, serviceaccount.ServiceAccountUsernameSeparator)
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: name[:colon], Name: name[colon+1:]}
	case g.holder.group:
		return rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: g.holder.name}
	default:
		return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: g.holder.name}
	}
}

// homeOf is the namespace of a subject that is a service account: its own, or
// that of the binding.
func homeOf(subject *rbacv1.Subject, bindingNamespace string) string {
	if subject.Namespace != "" {
		return subject.Namespace
	}
	return bindingNamespace
}

// describeSubject names a subject as Kubernetes does in reasons: a service
// account by name and namespace, in this order.
func describeSubject(subject *rbacv1.Subject, bindingNamespace string) string {
	name := subject.Name
	if subject.Kind == rbacv1.ServiceAccountKind {
		name += "/" + homeOf(subject, bindingNamespace)
	}
	return subject.Kind + " " + strconv.Quote(name)
}
