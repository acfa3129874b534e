// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/metrics"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/klog/v2"
)

// passage is one request's way through the lane.
type passage struct {
	lane     *Lane
	route    route
	received time.Time
	caller   Caller
	question question
	document []byte
}

// pass serves the request, or leaves it as it was.
func (p *passage) pass(w http.ResponseWriter, r *http.Request) bool {
	caller, ok := p.lane.Callers.Known(r)
	if !ok {
		return false
	}
	p.caller = caller
	if p.lane.Audit.wantsObjects(p) || !p.open() {
		return false
	}
	if p.route.kind != nil {
		body := p.lane.buffers.take()
		if !p.ask(w, r, body) {
			return false // whoever reads the body again has the buffer
		}
		defer p.lane.buffers.give(body)
	}
	id := uuid.NewString()
	header := w.Header()
	header["Audit-Id"] = []string{id}
	header["Cache-Control"] = []string{"no-cache, private"}
	ctx := context.WithValue(r.Context(), passageKey{}, p)
	ctx = genericapirequest.WithRequestInfo(ctx, p.route.info)
	if p.route.document == nil {
		ctx = genericapirequest.WithLatencyTrackers(ctx) // for metrics
	}
	ctx = p.lane.Audit.begin(ctx, id, p.received)
	p.route.filters(p.lane).ServeHTTP(w, r.WithContext(ctx))
	return true
}

// open fetches the document that is asked for, if one is.
func (p *passage) open() bool {
	if p.route.document == nil {
		return true
	}
	var err error
	p.document, err = p.route.document.Body()
	return err == nil
}

type passageKey struct{}

func passageOf(ctx context.Context) *passage {
	p, _ := ctx.Value(passageKey{}).(*passage)
	return p
}

// ask reads the question, and puts the body back for whoever comes next. A client
// that does not send it in time has none: it must not keep others out of the lane.
func (p *passage) ask(w http.ResponseWriter, r *http.Request, into *buffer) bool {
	body := into.of(int(r.ContentLength))
	late := time.AfterFunc(p.lane.Patience, func() {
		// A writer that has no deadlines waits, as it does without the lane.
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	})
	n, err := io.ReadFull(r.Body, body)
	late.Stop()
	if err != nil {
		r.Body = replayed{io.MultiReader(bytes.NewReader(body[:n]), failing{err}), r.Body}
		return false
	}
	r.Body = replayed{bytes.NewReader(body), r.Body}
	question, ok := p.route.kind.read(p.route.in, body)
	p.question = question
	return ok
}

// replayed is a body that is read once more.
type replayed struct {
	io.Reader
	io.Closer
}

// failing repeats the error with which a body ended.
type failing struct{ err error }

// Read fails.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// knownCaller tells the filter who the lane has found to be calling.
type knownCaller struct{}

// AuthenticateRequest returns the caller of a request in the lane.
func (knownCaller) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	p := passageOf(r.Context())
	if p.caller.Used != nil {
		p.caller.Used(r.Context())
	}
	return p.caller.Response, true, nil
}

// serve answers a request that is allowed.
func (l *Lane) serve(w http.ResponseWriter, r *http.Request) {
	p := passageOf(r.Context())
	defer l.recoverPanic(w, r)
	switch {
	case p.route.document != nil:
		p.writeDocument(w)
	case p.route.kind != nil:
		l.create(p, w, r)
	default:
		l.read(w, r)
	}
}

// recoverPanic makes of a panic what go-restful does on the general path: a stack
// in the log and a Status for the client
// (k8s.io/apiserver/pkg/server/handler.go: logStackOnRecover).
func (l *Lane) recoverPanic(w http.ResponseWriter, r *http.Request) {
	reason := recover()
	if reason == nil {
		return
	}
	klog.ErrorS(nil, "recover from panic situation", "reason", reason, "stack", string(debug.Stack()))
	status := apierrors.NewGenericServerResponse(http.StatusInternalServerError, "", schema.GroupResource{}, "", "", 0, false)
	responsewriters.ErrorNegotiated(status, l.Serializer, schema.GroupVersion{}, w, r)
}

// read has the general path's last handler read an object, which does all that is
// left to do.
func (l *Lane) read(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), l.Patience)
	defer cancel()
	l.Reading.ServeHTTP(w, r.WithContext(ctx))
}

// create makes what is asked for.
func (l *Lane) create(p *passage, w http.ResponseWriter, r *http.Request) {
	code, size := http.StatusCreated, 0
	answer, err := p.answer(r)
	if err == nil {
		size, err = p.write(w, answer)
	}
	k, info := p.route.kind, p.route.info
	if err != nil {
		code = responsewriters.ErrorNegotiated(err, l.Serializer, k.gvk.GroupVersion(), w, r)
	}
	metrics.MonitorRequest(r, http.MethodPost, info.APIGroup, info.APIVersion, info.Resource, info.Subresource,
		k.scope, metrics.APIServerComponent, false, "", code, size, l.Now().Sub(p.received))
}

// answer asks admission and the storage, in the order of the general path.
func (p *passage) answer(r *http.Request) (runtime.Object, error) {
	l, k, info := p.lane, p.route.kind, p.route.info
	ends := newLate(r.Context(), time.Now().Add(timeout))
	defer ends.close()
	ctx := genericapirequest.WithNamespace(ends, info.Namespace)
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, errors.New("nobody is calling")
	}
	question := p.question.complete(info.Namespace, r.UserAgent(), l.Now())
	audit.LogRequestObject(ctx, question, k.gvk.GroupVersion(), k.gvr, info.Subresource, l.Serializer)
	options := createOptions()
	attributes := admission.NewAttributesRecord(question, nil, k.gvk, info.Namespace, info.Name,
		k.gvr, info.Subresource, admission.Create, options, false, caller)
	if mutating, ok := l.Admission.(admission.MutationInterface); ok && mutating.Handles(admission.Create) {
		if err := mutating.Admit(ctx, attributes, l.Objects); err != nil {
			return nil, err
		}
	}
	answer, err := k.create(ctx, info.Name, question, rest.AdmissionToValidateObjectFunc(l.Admission, attributes, l.Objects), options)
	if err != nil && ctx.Err() != nil {
		return nil, apierrors.NewTimeoutError(fmt.Sprintf("request did not complete within requested timeout - %s", ctx.Err()), 0)
	}
	return answer, err
}

func (p *passage) write(w http.ResponseWriter, answer runtime.Object) (size int, err error) {
	out := p.lane.buffers.take()
	defer p.lane.buffers.give(out)
	contentType, ok := p.encode(out, answer)
	if !ok {
		return 0, apierrors.NewInternalError(fmt.Errorf("cannot encode a %T", answer))
	}
	header := w.Header()
	header["Content-Type"] = []string{contentType}
	header["Content-Length"] = []string{strconv.Itoa(len(out.bytes))}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(out.bytes) // the client has gone
	return len(out.bytes), nil
}

func (p *passage) encode(out *buffer, answer runtime.Object) (contentType string, ok bool) {
	if p.route.out == asProtobuf {
		out.bytes, ok = appendProtobuf(out.bytes[:0], answer, p.route.kind.gvk)
		return mediaProtobuf, ok
	}
	j := writer{buf: out.bytes[:0]}
	ok = p.route.kind.write(&j, answer)
	out.bytes = append(j.buf, '\n')
	return mediaJSON, ok
}

func (p *passage) writeDocument(w http.ResponseWriter) {
	header := w.Header()
	header["Content-Type"] = []string{p.route.document.ContentType}
	header["Cache-Control"] = []string{p.route.document.CacheControl()}
	header["Content-Length"] = []string{strconv.Itoa(len(p.document))}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(p.document) // the reader has gone
}
