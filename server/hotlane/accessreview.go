// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
	var seen keys
	for r.open('{'); r.more('}'); {
		switch key := r.key(); string(key) {
		case "kind":
			r.once(&seen, 0)
			r.typeMeta(key, accessReviewKind)
		case "apiVersion":
			r.once(&seen, 1)
			r.typeMeta(key, accessReviewKind)
		case "metadata":
			r.once(&seen, 2)
			r.empty()
		case "spec":
			r.once(&seen, 3)
			readAccessReviewSpec(r, &q.Spec)
		case "status":
			r.once(&seen, 4)
			readNotAllowed(r)
		default:
			r.bad = true
		}
	}
	return accessReview{q}
}

func readAccessReviewSpec(r *reader, spec *authorizationv1.SubjectAccessReviewSpec) {
	var seen keys
	for r.open('{'); r.more('}'); {
		switch string(r.key()) {
		case "user":
			r.once(&seen, 0)
			spec.User = r.string()
		case "uid":
			r.once(&seen, 1)
			spec.UID = r.string()
		case "groups":
			r.once(&seen, 2)
			spec.Groups = r.strings()
		case "extra":
			r.once(&seen, 3)
			spec.Extra = readExtra(r)
		case "resourceAttributes":
			r.once(&seen, 4)
			spec.ResourceAttributes = readResource(r)
		case "nonResourceAttributes":
			r.once(&seen, 5)
			spec.NonResourceAttributes = readNonResource(r)
		default:
			r.bad = true
		}
	}
}

func readExtra(r *reader) map[string]authorizationv1.ExtraValue {
	extra := map[string]authorizationv1.ExtraValue{}
	for r.open('{'); r.more('}'); {
		key := string(r.key())
		if _, twice := extra[key]; twice || key == "" {
			r.bad = true
		}
		extra[key] = r.strings()
	}
	if len(extra) == 0 {
		r.bad = true
	}
	return extra
}

func readResource(r *reader) *authorizationv1.ResourceAttributes {
	a := &authorizationv1.ResourceAttributes{}
	var seen keys
	for r.open('{'); r.more('}'); {
		switch string(r.key()) {
		case "namespace":
			r.once(&seen, 0)
			a.Namespace = r.string()
		case "verb":
			r.once(&seen, 1)
			a.Verb = r.string()
		case "group":
			r.once(&seen, 2)
			a.Group = r.string()
		case "version":
			r.once(&seen, 3)
			a.Version = r.string()
		case "resource":
			r.once(&seen, 4)
			a.Resource = r.string()
		case "subresource":
			r.once(&seen, 5)
			a.Subresource = r.string()
		case "name":
			r.once(&seen, 6)
			a.Name = r.string()
		default: // selectors too
			r.bad = true
		}
	}
	r.some(seen)
	return a
}

func readNonResource(r *reader) *authorizationv1.NonResourceAttributes {
	a := &authorizationv1.NonResourceAttributes{}
	var seen keys
	for r.open('{'); r.more('}'); {
		switch string(r.key()) {
		case "path":
			r.once(&seen, 0)
			a.Path = r.string()
		case "verb":
			r.once(&seen, 1)
			a.Verb = r.string()
		default:
			r.bad = true
		}
	}
	r.some(seen)
	return a
}

// readNotAllowed reads a status as clients write it that have none yet.
func readNotAllowed(r *reader) {
	var seen keys
	for r.open('{'); r.more('}'); {
		if string(r.key()) != "allowed" {
			r.bad = true
			return
		}
		r.once(&seen, 0)
		r.word("false")
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
