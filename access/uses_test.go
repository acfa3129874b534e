// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

func event(user, verb string, change func(*auditv1.Event)) *auditv1.Event {
	e := &auditv1.Event{
		Verb: verb, User: authenticationv1.UserInfo{Username: user, Groups: []string{"staff"}}, RequestURI: "/version?timeout=1s",
		Annotations:              map[string]string{decisionAnnotation: decisionAllow},
		RequestReceivedTimestamp: metav1.NewMicroTime(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)),
	}
	if change != nil {
		change(e)
	}
	return e
}

func object(group, resource, subresource, namespace, name string) func(*auditv1.Event) {
	return func(e *auditv1.Event) {
		e.ObjectRef = &auditv1.ObjectReference{APIGroup: group, Resource: resource, Subresource: subresource, Namespace: namespace, Name: name}
	}
}

func TestAnEventTellsWhoDidWhat(t *testing.T) {
	t.Parallel()
	as := func(u authenticationv1.UserInfo) func(*auditv1.Event) {
		return func(e *auditv1.Event) {
			object("", "pods", "", "dev", "")(e)
			e.ImpersonatedUser = &u
		}
	}
	for name, test := range map[string]struct {
		event *auditv1.Event
		want  []string
	}{
		"a path":          {event("jane", "get", nil), []string{"jane: get /version"}},
		"a resource":      {event("jane", "list", object("", "pods", "", "dev", "")), []string{"jane: list pods in dev"}},
		"a part":          {event("jane", "create", object("", "serviceaccounts", "token", "dev", "ci")), []string{"jane: create serviceaccounts/token ci in dev"}},
		"a creation":      {event("jane", "create", object("batch", "jobs", "", "dev", "from the body")), []string{"jane: create jobs in dev"}},
		"what was denied": {event("jane", "get", func(e *auditv1.Event) { e.Annotations[decisionAnnotation] = "forbid" }), nil},
		"as an account": {event("jane", "list", as(authenticationv1.UserInfo{
			Username: "system:serviceaccount:dev:ci", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:dev", "system:authenticated"},
		})), []string{"jane: impersonate serviceaccounts ci in dev", "system:serviceaccount:dev:ci: list pods in dev"}},
		"as a user": {event("jane", "list", as(authenticationv1.UserInfo{
			Username: "joe", UID: "7", Groups: []string{"admins", "system:authenticated"}, Extra: map[string]authenticationv1.ExtraValue{"scopes": {"view"}},
		})), []string{
			"jane: impersonate users joe", "jane: impersonate groups admins", "jane: impersonate uids 7",
			"jane: impersonate userextras/scopes view", "joe: list pods in dev",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			UsesIn(test.event, func(who Doer, use Use) { got = append(got, who.Name+": "+words(use)) })
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func words(u Use) string {
	text := u.Verb + " " + u.Path + u.Resource
	if u.Subresource != "" {
		text += "/" + u.Subresource
	}
	if u.Name != "" {
		text += " " + u.Name
	}
	if u.Namespace != "" {
		text += " in " + u.Namespace
	}
	return text
}

func TestAUsageTellsApartOnlyTheNamesThatMatter(t *testing.T) {
	t.Parallel()
	usage := NewUsage(func(name string) bool { return name == "kept" })
	for _, name := range []string{"kept", "a", "b"} {
		usage.Add(event("jane", "get", object("", "secrets", "", "dev", name)))
	}
	for _, subject := range []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "jane"}, {Kind: rbacv1.GroupKind, Name: "staff"}} {
		var got []string
		for _, use := range usage.Of(subject) {
			got = append(got, words(use))
		}
		if want := "[get secrets in dev get secrets kept in dev]"; fmt.Sprint(got) != want {
			t.Errorf("%v: got %v, want %s", subject, got, want)
		}
	}
	if uses := usage.Of(rbacv1.Subject{Kind: rbacv1.UserKind, Name: "joe"}); len(uses) > 0 {
		t.Errorf("joe did %v", uses)
	}
}
