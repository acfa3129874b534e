// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hotlane is a short path through the server for what an identity server
// does all day: TokenReview, SubjectAccessReview, SelfSubjectReview, TokenRequest,
// the two documents of OIDC discovery, and reading one object.
//
// It takes a request only if it understands all of it: a plain form (request.go),
// a body without surprises (plainjson, protobuf.go), a caller whose credentials
// were verified before (callers.go). Whatever is not like that goes down the
// general path as if the lane were not there, so that no option of the general
// path can be forgotten:
//
//	request --> plain? --> caller known? --> body plain? --> allowed? --> answer
//	              |no            |no             |no           |no
//	              +--------------+---------------+             +--> 403
//	                             v
//	                        general path
//
// Authentication, authorization, admission, audit, the storage that answers, and
// their metrics are those of the general path: the same values, called in the same
// order. What is short is the way between them. Both ways give the same answer,
// byte for byte, which the tests of the server hold them to.
package hotlane

import (
	"cmp"
	"context"
	"net/http"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/klog/v2"
)

// Config is what the lane shares with the general path.
type Config struct {
	// General serves what the lane does not.
	General http.Handler
	// Callers tells who is calling.
	Callers Callers
	// Authorizer, Admission and Serializer are those of the general path.
	Authorizer authorizer.Authorizer
	Audit      Audit
	Admission  admission.Interface
	Objects    admission.ObjectInterfaces
	Serializer runtime.NegotiatedSerializer
	// Storage answers, by resource: "tokenreviews", "serviceaccounts/token". A
	// resource that is missing is served by the general path.
	Storage map[string]rest.Storage
	// Documents are served as they are, by path.
	Documents map[string]Document
	// Reading serves a GET of one object, behind all filters; nil for the general
	// path. Requests tells it what a request is about.
	Reading  http.Handler
	Requests genericapirequest.RequestInfoResolver
	// InFlight is how many requests may be in the lane at a time; the general
	// path serves, or refuses, those beyond.
	InFlight int
	// Enter notes that a request has begun, and leave that it has ended. An error
	// says that the server stops; the general path tells the client.
	Enter func() error
	Leave func()
	// Patience is how long the body of a request may take to arrive, and how long
	// a GET may take; zero means as long as an answer may take.
	Patience time.Duration
	// Now is the clock of the answers.
	Now func() time.Time
}

// Document is a text that is made elsewhere. Its error sends the reader down
// the general path.
type Document struct {
	ContentType  string
	CacheControl func() string
	Body         func() ([]byte, error)
}

// Lane serves what it can and hands on the rest.
type Lane struct {
	Config
	kinds map[string]*kind
	// filters lead to serve; through warned with room for warnings.
	filters, warned http.Handler
	inFlight        atomic.Int64
	buffers         buffers
}

// createOptions are those of a request without parameters.
func createOptions() *metav1.CreateOptions {
	return &metav1.CreateOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "CreateOptions"}}
}

// New returns the lane.
func New(c Config) *Lane {
	c.Patience = cmp.Or(c.Patience, timeout)
	c.Admission = admission.WithAudit(c.Admission)
	l := &Lane{Config: c, kinds: map[string]*kind{}}
	for _, k := range kinds() {
		if k.create = creater(c.Storage[k.storage]); k.create != nil {
			l.kinds[k.path] = k
		}
	}
	// The filters of the general path, for the same decisions and metrics.
	l.filters = genericapifilters.WithAuthorization(http.HandlerFunc(l.serve), c.Authorizer, c.Serializer)
	l.filters = genericapifilters.WithAudit(l.filters, c.Audit.Sink, c.Audit.Policy, nil)
	l.filters = genericapifilters.WithAuthentication(l.filters, knownCaller{}, c.General, nil, nil)
	l.warned = genericapifilters.WithWarningRecorder(l.filters)
	return l
}

// ServeHTTP serves a request on one of the two paths.
func (l *Lane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	growStack()
	a := attempt{Lane: l}
	genericfilters.WithPanicRecovery(&a, l.Requests).ServeHTTP(w, r)
	if a.declined {
		l.General.ServeHTTP(w, r)
	}
}

// growStack makes room on the stack of a request's goroutine for all that follows.
// A stack begins with 2 KiB and is doubled, with an adjustment of each frame on it,
// whenever it is full: deep down in the request, and again. Here it has few frames.
//
//go:noinline
func growStack() {
	var room [stackSize]byte
	keep(&room)
}

// stackSize, in bytes, is what a request in the lane needs.
const stackSize = 9 << 10

// keep has the compiler believe that the room is used.
//
//go:noinline
func keep(*[stackSize]byte) {}

// attempt is the handler of one request. A panic in it is an answer.
type attempt struct {
	*Lane
	declined bool
}

// ServeHTTP serves the request, or notes that it is declined.
func (a *attempt) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.declined = !a.try(w, r) }

// try serves a request, or leaves it as it was.
func (l *Lane) try(w http.ResponseWriter, r *http.Request) bool {
	if klog.V(requestLog).Enabled() {
		return false // the general path logs each request
	}
	route, ok := l.match(r)
	if !ok {
		return false
	}
	defer l.inFlight.Add(-1)
	if l.inFlight.Add(1) > int64(l.InFlight) || l.Enter() != nil {
		return false
	}
	defer l.Leave()
	p := &passage{lane: l, route: route, received: l.Now()}
	return p.pass(w, r)
}

// requestLog is the verbosity at which the general path logs requests.
const requestLog = 3

// timeout is how long an answer may take, as on the general path.
const timeout = 34 * time.Second

// createFunc makes an answer.
type createFunc func(context.Context, string, runtime.Object, rest.ValidateObjectFunc, *metav1.CreateOptions) (runtime.Object, error)

// creater is how a storage makes an answer; nil if it does not.
func creater(storage rest.Storage) createFunc {
	switch s := storage.(type) {
	case rest.NamedCreater:
		return s.Create
	case rest.Creater:
		return func(ctx context.Context, _ string, obj runtime.Object, admit rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
			return s.Create(ctx, obj, admit, options)
		}
	}
	return nil
}
