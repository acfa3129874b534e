// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/muster-identity/muster/token/plainjson"
)

var (
	tokenReviewKind       = authenticationv1.SchemeGroupVersion.WithKind("TokenReview")
	selfSubjectReviewKind = authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview")
)

type tokenReview struct{ *authenticationv1.TokenReview }

func (q tokenReview) complete(_, agent string, now time.Time) runtime.Object {
	q.ManagedFields = managed(tokenReviewKind, agent, now, tokenReviewFields(&q.Spec))
	return q.TokenReview
}

func readTokenReview(r *reader) question {
	q := &authenticationv1.TokenReview{}
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch key := r.Key(); string(key) {
		case "kind":
			r.Once(&seen, 0)
			r.typeMeta(key, tokenReviewKind)
		case "apiVersion":
			r.Once(&seen, 1)
			r.typeMeta(key, tokenReviewKind)
		case "metadata":
			r.Once(&seen, 2)
			r.empty()
		case "spec":
			r.Once(&seen, 3)
			readTokenReviewSpec(r, &q.Spec)
		case "status":
			r.Once(&seen, 4)
			r.emptyUser("user")
		default:
			r.Refuse()
		}
	}
	return tokenReview{q}
}

func readTokenReviewSpec(r *reader, spec *authenticationv1.TokenReviewSpec) {
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch string(r.Key()) {
		case "token":
			r.Once(&seen, 0)
			spec.Token = r.String()
		case "audiences":
			r.Once(&seen, 1)
			spec.Audiences = r.Strings()
		default:
			r.Refuse()
		}
	}
}

// emptyUser reads a status in which at most an empty user stands, which is how
// clients write that there is none.
func (r *reader) emptyUser(name string) {
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		if string(r.Key()) != name {
			r.Refuse()
			return
		}
		r.Once(&seen, 0)
		for r.Open('{'); r.More('}'); {
			r.Refuse()
		}
	}
}

func tokenReviewOf(raw []byte) (question, bool) {
	q := &authenticationv1.TokenReview{}
	if q.Unmarshal(raw) != nil || !bare(&q.ObjectMeta) || !noUser(&q.Status.User) {
		return nil, false
	}
	s := &q.Status
	return tokenReview{q}, q.Spec.Token != "" && !s.Authenticated && s.Error == "" && s.Audiences == nil
}

func noUser(u *authenticationv1.UserInfo) bool {
	return u.Username == "" && u.UID == "" && u.Groups == nil && u.Extra == nil
}

func writeTokenReview(w *writer, answer runtime.Object) bool {
	a, ok := answer.(*authenticationv1.TokenReview)
	if !ok {
		return false
	}
	w.begin(tokenReviewKind)
	w.object("metadata")
	w.managedFields(a.ManagedFields)
	w.close('}')
	w.object("spec")
	w.string("token", a.Spec.Token)
	w.strings("audiences", a.Spec.Audiences)
	w.close('}')
	w.object("status")
	w.bool("authenticated", a.Status.Authenticated)
	w.user("user", &a.Status.User)
	w.strings("audiences", a.Status.Audiences)
	w.string("error", a.Status.Error)
	w.close('}')
	w.close('}')
	return true
}

func (w *writer) managedFields(entries []metav1.ManagedFieldsEntry) {
	if len(entries) == 0 {
		return
	}
	w.key("managedFields")
	w.open('[')
	for i := range entries {
		e := &entries[i]
		w.separate()
		w.open('{')
		w.string("manager", e.Manager)
		w.string("operation", string(e.Operation))
		w.string("apiVersion", e.APIVersion)
		w.time("time", *e.Time)
		w.string("fieldsType", e.FieldsType)
		w.raw("fieldsV1", e.FieldsV1.GetRawBytes())
		w.string("subresource", e.Subresource)
		w.close('}')
	}
	w.close(']')
}

func (w *writer) user(key string, u *authenticationv1.UserInfo) {
	w.object(key)
	w.string("username", u.Username)
	w.string("uid", u.UID)
	w.strings("groups", u.Groups)
	writeExtra(w, u.Extra)
	w.close('}')
}

type selfSubjectReview struct {
	*authenticationv1.SelfSubjectReview
}

func (q selfSubjectReview) complete(string, string, time.Time) runtime.Object {
	return q.SelfSubjectReview
}

func readSelfSubjectReview(r *reader) question {
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch key := r.Key(); string(key) {
		case "kind":
			r.Once(&seen, 0)
			r.typeMeta(key, selfSubjectReviewKind)
		case "apiVersion":
			r.Once(&seen, 1)
			r.typeMeta(key, selfSubjectReviewKind)
		case "metadata":
			r.Once(&seen, 2)
			r.empty()
		case "status":
			r.Once(&seen, 3)
			r.emptyUser("userInfo")
		default:
			r.Refuse()
		}
	}
	return selfSubjectReview{&authenticationv1.SelfSubjectReview{}}
}

func selfSubjectReviewOf(raw []byte) (question, bool) {
	q := &authenticationv1.SelfSubjectReview{}
	if q.Unmarshal(raw) != nil || !bare(&q.ObjectMeta) {
		return nil, false
	}
	return selfSubjectReview{q}, noUser(&q.Status.UserInfo)
}

func writeSelfSubjectReview(w *writer, answer runtime.Object) bool {
	a, ok := answer.(*authenticationv1.SelfSubjectReview)
	if !ok {
		return false
	}
	w.begin(selfSubjectReviewKind)
	w.object("metadata")
	w.time("creationTimestamp", a.CreationTimestamp)
	w.close('}')
	w.object("status")
	w.user("userInfo", &a.Status.UserInfo)
	w.close('}')
	w.close('}')
	return true
}
