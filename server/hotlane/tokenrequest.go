// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

var tokenRequestKind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")

type tokenRequest struct {
	*authenticationv1.TokenRequest
}

func (q tokenRequest) complete(namespace, agent string, now time.Time) runtime.Object {
	q.Namespace = namespace
	if fields := tokenRequestFields(&q.Spec); fields != nil {
		q.ManagedFields = managed(tokenRequestKind, agent, now, fields)
		q.ManagedFields[0].Subresource = "token"
	}
	return q.TokenRequest
}

func readTokenRequest(r *reader) question {
	q := &authenticationv1.TokenRequest{}
	var seen keys
	for r.open('{'); r.more('}'); {
		switch key := r.key(); string(key) {
		case "kind":
			r.once(&seen, 0)
			r.typeMeta(key, tokenRequestKind)
		case "apiVersion":
			r.once(&seen, 1)
			r.typeMeta(key, tokenRequestKind)
		case "metadata":
			r.once(&seen, 2)
			r.empty()
		case "spec":
			r.once(&seen, 3)
			readTokenRequestSpec(r, &q.Spec)
		case "status":
			r.once(&seen, 4)
			readNoToken(r)
		default:
			r.bad = true
		}
	}
	return tokenRequest{q}
}

func readTokenRequestSpec(r *reader, spec *authenticationv1.TokenRequestSpec) {
	var seen keys
	for r.open('{'); r.more('}'); {
		switch string(r.key()) {
		case "audiences":
			r.once(&seen, 0)
			if r.next() == 'n' {
				r.null()
				continue
			}
			spec.Audiences = r.strings()
		case "expirationSeconds":
			r.once(&seen, 1)
			if r.next() == 'n' {
				r.null()
				continue
			}
			spec.ExpirationSeconds = new(r.number())
		case "boundObjectRef":
			r.once(&seen, 2)
			if r.next() == 'n' {
				r.null()
				continue
			}
			spec.BoundObjectRef = readBoundObject(r)
		default:
			r.bad = true
		}
	}
}

// next is the byte with which the next value begins.
func (r *reader) next() byte {
	r.skipSpace()
	if r.at < len(r.data) {
		return r.data[r.at]
	}
	return 0
}

func readBoundObject(r *reader) *authenticationv1.BoundObjectReference {
	ref := &authenticationv1.BoundObjectReference{}
	var seen keys
	for r.open('{'); r.more('}'); {
		switch string(r.key()) {
		case "kind":
			r.once(&seen, 0)
			ref.Kind = r.string()
		case "apiVersion":
			r.once(&seen, 1)
			ref.APIVersion = r.string()
		case "name":
			r.once(&seen, 2)
			ref.Name = r.string()
		case "uid":
			r.once(&seen, 3)
			ref.UID = types.UID(r.string())
		default:
			r.bad = true
		}
	}
	r.some(seen)
	return ref
}

// readNoToken reads a status as clients write it that have none yet.
func readNoToken(r *reader) {
	var seen keys
	for r.open('{'); r.more('}'); {
		switch string(r.key()) {
		case "token":
			r.once(&seen, 0)
			r.constant("")
		case "expirationTimestamp":
			r.once(&seen, 1)
			r.null()
		default:
			r.bad = true
		}
	}
}

func tokenRequestOf(raw []byte) (question, bool) {
	q := &authenticationv1.TokenRequest{}
	if q.Unmarshal(raw) != nil || !bare(&q.ObjectMeta) || q.Spec.BoundObjectRef != nil && *q.Spec.BoundObjectRef == (authenticationv1.BoundObjectReference{}) {
		return nil, false
	}
	return tokenRequest{q}, q.Spec.Attestations == nil && q.Status.Token == "" && q.Status.ExpirationTimestamp.IsZero()
}

func writeTokenRequest(w *writer, answer runtime.Object) bool {
	a, ok := answer.(*authenticationv1.TokenRequest)
	if !ok || a.Spec.ExpirationSeconds == nil || len(a.Spec.Audiences) == 0 || a.Spec.Attestations != nil {
		return false
	}
	w.begin(tokenRequestKind)
	w.object("metadata")
	w.string("name", a.Name)
	w.string("namespace", a.Namespace)
	w.string("uid", string(a.UID))
	w.time("creationTimestamp", a.CreationTimestamp)
	w.managedFields(a.ManagedFields)
	w.close('}')
	w.object("spec")
	w.strings("audiences", a.Spec.Audiences)
	w.number("expirationSeconds", *a.Spec.ExpirationSeconds)
	w.boundObject(a.Spec.BoundObjectRef)
	w.close('}')
	w.object("status")
	w.string("token", a.Status.Token)
	w.time("expirationTimestamp", a.Status.ExpirationTimestamp)
	w.close('}')
	w.close('}')
	return true
}

func (w *writer) boundObject(ref *authenticationv1.BoundObjectReference) {
	if ref == nil {
		w.raw("boundObjectRef", []byte("null"))
		return
	}
	w.object("boundObjectRef")
	w.string("kind", ref.Kind)
	w.string("apiVersion", ref.APIVersion)
	w.string("name", ref.Name)
	w.string("uid", string(ref.UID))
	w.close('}')
}
