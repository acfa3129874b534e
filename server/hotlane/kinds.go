// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/muster-identity/muster/token/plainjson"
)

// question is the body of a request.
type question interface {
	runtime.Object
	// complete returns the object with what the general path adds to it before
	// admission sees it: the namespace of the request, or the fields' manager.
	complete(namespace, agent string, now time.Time) runtime.Object
}

// kind is one of the things that the lane answers.
type kind struct {
	// path is where it is created, and tokenRequests for any TokenRequest.
	path string
	// storage names what answers.
	storage string
	gvk     schema.GroupVersionKind
	gvr     schema.GroupVersionResource
	// subresource and scope are those of metrics and authorization.
	subresource, scope string
	// warns is set where an answer may come with warnings.
	warns bool

	readJSON     func(r *reader) question
	readProtobuf func(raw []byte) (question, bool)
	// write encodes the answer as JSON. It is not ok for an object that is not
	// the answer that was expected.
	write func(w *writer, answer runtime.Object) bool

	create createFunc
	// constant is the info of all requests for a kind without namespace and name.
	constant *genericapirequest.RequestInfo
}

const tokenRequests = "/api/v1/namespaces/*/serviceaccounts/*/token"

func kinds() []*kind {
	return []*kind{
		review(authenticationv1.SchemeGroupVersion, "TokenReview", "tokenreviews", kind{
			readJSON: readTokenReview, readProtobuf: tokenReviewOf, write: writeTokenReview,
		}),
		review(authenticationv1.SchemeGroupVersion, "SelfSubjectReview", "selfsubjectreviews", kind{
			readJSON: readSelfSubjectReview, readProtobuf: selfSubjectReviewOf, write: writeSelfSubjectReview,
		}),
		review(authorizationv1.SchemeGroupVersion, "SubjectAccessReview", "subjectaccessreviews", kind{
			readJSON: readAccessReview, readProtobuf: accessReviewOf, write: writeAccessReview,
		}),
		{
			path: tokenRequests, storage: "serviceaccounts/token", scope: "resource", subresource: "token", warns: true,
			gvk:      authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"),
			gvr:      schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"},
			readJSON: readTokenRequest, readProtobuf: tokenRequestOf, write: writeTokenRequest,
		},
	}
}

// review completes a kind that lives outside namespaces.
func review(gv schema.GroupVersion, name, resource string, k kind) *kind {
	k.path = "/apis/" + gv.String() + "/" + resource
	k.storage, k.scope = resource, "cluster"
	k.gvk, k.gvr = gv.WithKind(name), gv.WithResource(resource)
	k.constant = k.newInfo(k.path, "", "")
	return &k
}

// info is what authorization, admission and metrics are told of the request.
// Nobody may change it.
func (k *kind) info(path, namespace, name string) *genericapirequest.RequestInfo {
	if k.constant != nil {
		return k.constant
	}
	return k.newInfo(path, namespace, name)
}

func (k *kind) newInfo(path, namespace, name string) *genericapirequest.RequestInfo {
	info := &genericapirequest.RequestInfo{
		IsResourceRequest: true, Path: path, Verb: "create", APIPrefix: "apis",
		APIGroup: k.gvr.Group, APIVersion: k.gvr.Version, Namespace: namespace,
		Resource: k.gvr.Resource, Subresource: k.subresource, Name: name, Parts: []string{k.gvr.Resource},
	}
	if name != "" {
		info.APIPrefix = "api"
		info.Parts = []string{k.gvr.Resource, name, k.subresource}
	}
	return info
}

// read decodes a body.
func (k *kind) read(in encoding, body []byte) (question, bool) {
	if in == asProtobuf {
		raw, ok := unwrap(body, k.gvk)
		if !ok {
			return nil, false
		}
		return k.readProtobuf(raw)
	}
	r := &reader{plainjson.NewReader(body)}
	q := k.readJSON(r)
	return q, r.End()
}

// reader reads the body of a request: reviews and token requests are plain.
type reader struct{ plainjson.Reader }

// typeMeta reads one of the two keys that name the type.
func (r *reader) typeMeta(key []byte, gvk schema.GroupVersionKind) {
	if string(key) == "kind" {
		r.Constant(gvk.Kind)
		return
	}
	r.Constant(gvk.GroupVersion().String())
}

// empty reads an object in which nothing is set: a creationTimestamp may be
// null, which is how older clients write that there is none.
func (r *reader) empty() {
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		if string(r.Key()) != "creationTimestamp" {
			r.Refuse()
			return
		}
		r.Once(&seen, 0)
		r.Null()
	}
}

// begin writes the beginning of an answer of a kind.
func (w *writer) begin(gvk schema.GroupVersionKind) {
	w.open('{')
	w.string("kind", gvk.Kind)
	w.string("apiVersion", gvk.GroupVersion().String())
}
