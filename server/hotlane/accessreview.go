// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/muster-identity/muster/token/plainjson"
)

var accessReviewKind = authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview")

type accessReview struct {
	*authorizationv1.SubjectAccessReview
}

func (q accessReview) complete(_, agent string, now time.Time) runtime.Object {
	q.ManagedFields = managed(accessReviewKind, agent, now, accessReviewFields(&q.Spec))
	return q.SubjectAccessReview
}

func readAccessReview(r *reader) question {
	q := &authorizationv1.SubjectAccessReview{}
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch key := r.Key(); string(key) {
		case "kind":
			r.Once(&seen, 0)
			r.typeMeta(key, accessReviewKind)
		case "apiVersion":
			r.Once(&seen, 1)
			r.typeMeta(key, accessReviewKind)
		case "metadata":
			r.Once(&seen, 2)
			r.empty()
		case "spec":
			r.Once(&seen, 3)
			readAccessReviewSpec(r, &q.Spec)
		case "status":
			r.Once(&seen, 4)
			readNotAllowed(r)
		default:
			r.Refuse()
		}
	}
	return accessReview{q}
}

func readAccessReviewSpec(r *reader, spec *authorizationv1.SubjectAccessReviewSpec) {
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch string(r.Key()) {
		case "user":
			r.Once(&seen, 0)
			spec.User = r.String()
		case "uid":
			r.Once(&seen, 1)
			spec.UID = r.String()
		case "groups":
			r.Once(&seen, 2)
			spec.Groups = r.Strings()
		case "extra":
			r.Once(&seen, 3)
			spec.Extra = readExtra(r)
		case "resourceAttributes":
			r.Once(&seen, 4)
			spec.ResourceAttributes = readResource(r)
		case "nonResourceAttributes":
			r.Once(&seen, 5)
			spec.NonResourceAttributes = readNonResource(r)
		default:
			r.Refuse()
		}
	}
}

func readExtra(r *reader) map[string]authorizationv1.ExtraValue {
	extra := map[string]authorizationv1.ExtraValue{}
	for r.Open('{'); r.More('}'); {
		key := string(r.Key())
		if _, twice := extra[key]; twice || key == "" {
			r.Refuse()
		}
		extra[key] = r.Strings()
	}
	if len(extra) == 0 {
		r.Refuse()
	}
	return extra
}

func readResource(r *reader) *authorizationv1.ResourceAttributes {
	a := &authorizationv1.ResourceAttributes{}
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch string(r.Key()) {
		case "namespace":
			r.Once(&seen, 0)
			a.Namespace = r.String()
		case "verb":
			r.Once(&seen, 1)
			a.Verb = r.String()
		case "group":
			r.Once(&seen, 2)
			a.Group = r.String()
		case "version":
			r.Once(&seen, 3)
			a.Version = r.String()
		case "resource":
			r.Once(&seen, 4)
			a.Resource = r.String()
		case "subresource":
			r.Once(&seen, 5)
			a.Subresource = r.String()
		case "name":
			r.Once(&seen, 6)
			a.Name = r.String()
		default: // selectors too
			r.Refuse()
		}
	}
	r.Some(seen)
	return a
}

func readNonResource(r *reader) *authorizationv1.NonResourceAttributes {
	a := &authorizationv1.NonResourceAttributes{}
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch string(r.Key()) {
		case "path":
			r.Once(&seen, 0)
			a.Path = r.String()
		case "verb":
			r.Once(&seen, 1)
			a.Verb = r.String()
		default:
			r.Refuse()
		}
	}
	r.Some(seen)
	return a
}

// readNotAllowed reads a status as clients write it that have none yet.
func readNotAllowed(r *reader) {
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		if string(r.Key()) != "allowed" {
			r.Refuse()
			return
		}
		r.Once(&seen, 0)
		r.Word("false")
	}
}

func accessReviewOf(raw []byte) (question, bool) {
	q := &authorizationv1.SubjectAccessReview{}
	if q.Unmarshal(raw) != nil || !bare(&q.ObjectMeta) {
		return nil, false
	}
	if a := q.Spec.ResourceAttributes; a != nil && (a.FieldSelector != nil || a.LabelSelector != nil || *a == (authorizationv1.ResourceAttributes{})) {
		return nil, false
	}
	if a := q.Spec.NonResourceAttributes; a != nil && *a == (authorizationv1.NonResourceAttributes{}) {
		return nil, false
	}
	return accessReview{q}, q.Status == authorizationv1.SubjectAccessReviewStatus{}
}

func writeAccessReview(w *writer, answer runtime.Object) bool {
	a, ok := answer.(*authorizationv1.SubjectAccessReview)
	if !ok {
		return false
	}
	w.begin(accessReviewKind)
	w.object("metadata")
	w.managedFields(a.ManagedFields)
	w.close('}')
	w.accessSpec(&a.Spec)
	w.object("status")
	w.key("allowed")
	w.buf = appendTruth(w.buf, a.Status.Allowed)
	w.bool("denied", a.Status.Denied)
	w.string("reason", a.Status.Reason)
	w.string("evaluationError", a.Status.EvaluationError)
	w.close('}')
	w.close('}')
	return true
}

func appendTruth(buf []byte, truth bool) []byte {
	if truth {
		return append(buf, "true"...)
	}
	return append(buf, "false"...)
}

func (w *writer) accessSpec(spec *authorizationv1.SubjectAccessReviewSpec) {
	w.object("spec")
	if a := spec.ResourceAttributes; a != nil {
		w.object("resourceAttributes")
		w.string("namespace", a.Namespace)
		w.string("verb", a.Verb)
		w.string("group", a.Group)
		w.string("version", a.Version)
		w.string("resource", a.Resource)
		w.string("subresource", a.Subresource)
		w.string("name", a.Name)
		w.close('}')
	}
	if a := spec.NonResourceAttributes; a != nil {
		w.object("nonResourceAttributes")
		w.string("path", a.Path)
		w.string("verb", a.Verb)
		w.close('}')
	}
	w.string("user", spec.User)
	w.strings("groups", spec.Groups)
	writeExtra(w, spec.Extra)
	w.string("uid", spec.UID)
	w.close('}')
}
