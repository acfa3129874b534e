// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/muster-identity/muster/token/plainjson"
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
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch key := r.Key(); string(key) {
		case "kind":
			r.Once(&seen, 0)
			r.typeMeta(key, tokenRequestKind)
		case "apiVersion":
			r.Once(&seen, 1)
			r.typeMeta(key, tokenRequestKind)
		case "metadata":
			r.Once(&seen, 2)
			r.empty()
		case "spec":
			r.Once(&seen, 3)
			readTokenRequestSpec(r, &q.Spec)
		case "status":
			r.Once(&seen, 4)
			readNoToken(r)
		default:
			r.Refuse()
		}
	}
	return tokenRequest{q}
}

func readTokenRequestSpec(r *reader, spec *authenticationv1.TokenRequestSpec) {
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch string(r.Key()) {
		case "audiences":
			r.Once(&seen, 0)
			if r.Next() == 'n' {
				r.Null()
				continue
			}
			spec.Audiences = r.Strings()
		case "expirationSeconds":
			r.Once(&seen, 1)
			if r.Next() == 'n' {
				r.Null()
				continue
			}
			spec.ExpirationSeconds = new(r.Number())
		case "boundObjectRef":
			r.Once(&seen, 2)
			if r.Next() == 'n' {
				r.Null()
				continue
			}
			spec.BoundObjectRef = readBoundObject(r)
		default:
			r.Refuse()
		}
	}
}

func readBoundObject(r *reader) *authenticationv1.BoundObjectReference {
	ref := &authenticationv1.BoundObjectReference{}
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch string(r.Key()) {
		case "kind":
			r.Once(&seen, 0)
			ref.Kind = r.String()
		case "apiVersion":
			r.Once(&seen, 1)
			ref.APIVersion = r.String()
		case "name":
			r.Once(&seen, 2)
			ref.Name = r.String()
		case "uid":
			r.Once(&seen, 3)
			ref.UID = types.UID(r.String())
		default:
			r.Refuse()
		}
	}
	r.Some(seen)
	return ref
}

// readNoToken reads a status as clients write it that have none yet.
func readNoToken(r *reader) {
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch string(r.Key()) {
		case "token":
			r.Once(&seen, 0)
			r.Constant("")
		case "expirationTimestamp":
			r.Once(&seen, 1)
			r.Null()
		default:
			r.Refuse()
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
