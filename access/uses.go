// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/rbac"
)

// A Use is something that somebody did and that RBAC was asked about.
type Use struct {
	// Namespace is empty for what concerns the whole cluster.
	Namespace string
	rbac.Request
}

// A Doer has done something.
type Doer struct {
	Name   string
	Groups []string
}

// The annotation that tells what authorization said of a request, and its value
// for one that was allowed.
const (
	decisionAnnotation = "authorization.k8s.io/decision"
	decisionAllow      = "allow"
)

// UsesIn calls do for what an event of an audit log shows to have been allowed.
// For a request on behalf of somebody else that is two things: the request, done
// by whom it was for, and the impersonation.
func UsesIn(event *auditv1.Event, do func(Doer, Use)) {
	if event.Annotations[decisionAnnotation] != decisionAllow {
		return
	}
	caller := Doer{event.User.Username, event.User.Groups}
	if as := event.ImpersonatedUser; as != nil {
		for _, use := range impersonations(as) {
			do(caller, use)
		}
		caller = Doer{as.Username, as.Groups}
	}
	do(caller, useOf(event))
}

func useOf(event *auditv1.Event) Use {
	ref := event.ObjectRef
	if ref == nil || ref.Resource == "" {
		path, _, _ := strings.Cut(event.RequestURI, "?")
		return Use{Request: rbac.Request{Verb: event.Verb, Path: path}}
	}
	use := Use{Namespace: ref.Namespace, Request: rbac.Request{
		Verb: event.Verb, ResourceRequest: true,
		APIGroup: ref.APIGroup, Resource: ref.Resource, Subresource: ref.Subresource, Name: ref.Name,
	}}
	if use.Verb == "create" && use.Subresource == "" {
		use.Name = "" // taken from the body, which is not read before the decision
	}
	return use
}

// impersonations are what one must be allowed to do to act as somebody. The
// groups that follow from a name are not asked about.
func impersonations(as *authenticationv1.UserInfo) []Use {
	impersonate := func(group, resource, subresource, name, namespace string) Use {
		return Use{Namespace: namespace, Request: rbac.Request{
			Verb: "impersonate", ResourceRequest: true, APIGroup: group, Resource: resource, Subresource: subresource, Name: name,
		}}
	}
	var uses []Use
	implied := map[string]bool{user.AllAuthenticated: true, user.AllUnauthenticated: true}
	if namespace, name, err := serviceaccount.SplitUsername(as.Username); err == nil {
		uses = append(uses, impersonate("", "serviceaccounts", "", name, namespace))
		for _, group := range serviceaccount.MakeGroupNames(namespace) {
			implied[group] = true
		}
	} else {
		uses = append(uses, impersonate("", "users", "", as.Username, ""))
	}
	for _, group := range as.Groups {
		if !implied[group] {
			uses = append(uses, impersonate("", "groups", "", group, ""))
		}
	}
	const authentication = "authentication.k8s.io"
	if as.UID != "" {
		uses = append(uses, impersonate(authentication, "uids", "", as.UID, ""))
	}
	for key, values := range as.Extra {
		for _, value := range values {
			uses = append(uses, impersonate(authentication, "userextras", key, value, ""))
		}
	}
	return uses
}

// A Usage is who did what, and when last, over the time of a log. Make one with
// NewUsage.
type Usage struct {
	// From and To are when the first and the last request were received.
	From, To time.Time

	keep func(name string) bool
	by   map[string]map[Use]time.Time
	// groups are those that the users had.
	groups map[string]map[string]bool
}

// NewUsage makes one that tells objects apart whose names are to be kept, and no
// others: names are what a log has most of.
func NewUsage(keep func(name string) bool) *Usage {
	return &Usage{keep: keep, by: map[string]map[Use]time.Time{}, groups: map[string]map[string]bool{}}
}

// Add takes an event into account.
func (u *Usage) Add(event *auditv1.Event) {
	at := event.RequestReceivedTimestamp.Time
	if u.From.IsZero() || at.Before(u.From) {
		u.From = at
	}
	if at.After(u.To) {
		u.To = at
	}
	UsesIn(event, func(who Doer, use Use) { u.note(who, use, at) })
}

func (u *Usage) note(who Doer, use Use, at time.Time) {
	if !u.keep(use.Name) {
		use.Name = ""
	}
	uses := u.by[who.Name]
	if uses == nil {
		uses = map[Use]time.Time{}
		u.by[who.Name], u.groups[who.Name] = uses, map[string]bool{}
	}
	if at.After(uses[use]) {
		uses[use] = at
	}
	for _, group := range who.Groups {
		u.groups[who.Name][group] = true
	}
}

// Of returns what a subject did: a user or an account by their name, a group by
// its members.
func (u *Usage) Of(subject rbacv1.Subject) []Use {
	all := map[Use]time.Time{}
	if subject.Kind != rbacv1.GroupKind {
		all = u.by[UsernameOf(subject)]
	} else {
		for name, uses := range u.by {
			if u.groups[name][subject.Name] {
				maps.Copy(all, uses)
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b Use) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.APIGroup, b.APIGroup), cmp.Compare(a.Resource, b.Resource),
			cmp.Compare(a.Subresource, b.Subresource), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Verb, b.Verb))
	})
}
