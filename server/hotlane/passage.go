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
	"strconv"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/metrics"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// passage is one request's way through the lane.
type passage struct {
	lane     *Lane
	route    route
	received time.Time
	caller   *authenticator.Response
	question question
	// left is set when the general path has to serve the request after all; nothing
	// has been done for it yet.
	left bool
}

// pass serves the request, or leaves it as it was.
func (p *passage) pass(w http.ResponseWriter, r *http.Request) bool {
	caller, ok := p.lane.Callers.Known(r)
	if !ok {
		return false
	}
	p.caller = caller
	if p.route.kind != nil {
		body := p.lane.buffers.take()
		if !p.ask(w, r, body) {
			return false // whoever reads the body again has the buffer
		}
		defer p.lane.buffers.give(body)
	}
	ctx := context.WithValue(r.Context(), passageKey{}, p)
	ctx = genericapirequest.WithRequestInfo(ctx, p.route.info)
	header := w.Header()
	header["Audit-Id"] = []string{uuid.NewString()}
	header["Cache-Control"] = []string{"no-cache, private"}
	credentials := r.Header["Authorization"]
	p.route.filters(p.lane).ServeHTTP(w, r.WithContext(ctx))
	if p.left {
		clear(header)
		if credentials != nil {
			r.Header["Authorization"] = credentials // the filter has taken it away
		}
	}
	return !p.left
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
	return p.caller, true, nil
}

// serve answers a request that is allowed.
func (l *Lane) serve(w http.ResponseWriter, r *http.Request) {
	p := passageOf(r.Context())
	if p.route.document != nil {
		p.left = !p.writeDocument(w)
		return
	}
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
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	ctx = genericapirequest.WithNamespace(ctx, info.Namespace)
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, errors.New("nobody is calling")
	}
	question := p.question.complete(info.Namespace, r.UserAgent(), l.Now())
	attributes := admission.NewAttributesRecord(question, nil, k.gvk, info.Namespace, info.Name,
		k.gvr, info.Subresource, admission.Create, createOptions(), false, caller)
	if mutating, ok := l.Admission.(admission.MutationInterface); ok && mutating.Handles(admission.Create) {
		if err := mutating.Admit(ctx, attributes, l.Objects); err != nil {
			return nil, err
		}
	}
	answer, err := k.create(ctx, info.Name, question, rest.AdmissionToValidateObjectFunc(l.Admission, attributes, l.Objects))
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

func (p *passage) writeDocument(w http.ResponseWriter) bool {
	body, err := p.route.document.Body()
	if err != nil {
		return false
	}
	header := w.Header()
	header["Content-Type"] = []string{p.route.document.ContentType}
	header["Cache-Control"] = []string{p.route.document.CacheControl()}
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the reader has gone
	return true
}
