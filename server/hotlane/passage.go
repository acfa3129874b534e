// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/endpoints/metrics"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
)

// passage is one request's way through the lane.
type passage struct {
	lane     *Lane
	route    route
	received time.Time
	caller   *authenticator.Response
	question question
	// left is set when the general path has to serve the request after all.
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
		if !p.ask(r, body) {
			return false // whoever reads the body again has the buffer
		}
		defer p.release(body)
	}
	ctx := context.WithValue(r.Context(), passageKey{}, p)
	ctx = genericapirequest.WithRequestInfo(ctx, p.route.info)
	header := w.Header()
	header["Audit-Id"] = []string{uuid.NewString()}
	header["Cache-Control"] = []string{"no-cache, private"}
	credentials := r.Header["Authorization"]
	p.lane.filters.ServeHTTP(w, r.WithContext(ctx))
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

// ask reads the question, and puts the body back for whoever comes next.
func (p *passage) ask(r *http.Request, into *buffer) bool {
	body := into.of(int(r.ContentLength))
	n, err := io.ReadFull(r.Body, body)
	if err != nil {
		r.Body = replayed{io.MultiReader(bytes.NewReader(body[:n]), failing{err}), r.Body}
		return false
	}
	r.Body = replayed{bytes.NewReader(body), r.Body}
	question, ok := p.route.kind.read(p.route.in, body)
	p.question = question
	return ok
}

// release gives the buffer of the body back, unless it is to be read again.
func (p *passage) release(body *buffer) {
	if !p.left {
		p.lane.buffers.give(body)
	}
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
	answer, err := p.answer(r)
	if err != nil || p.left {
		p.left = true
		return
	}
	size, ok := p.write(w, answer)
	if !ok {
		p.left = true
		return
	}
	k, info := p.route.kind, p.route.info
	metrics.MonitorRequest(r, http.MethodPost, info.APIGroup, info.APIVersion, info.Resource, info.Subresource,
		k.scope, metrics.APIServerComponent, false, "", http.StatusCreated, size, l.Now().Sub(p.received))
}

// AddWarning sends the request down the general path, which knows how to warn.
func (p *passage) AddWarning(string, string) { p.left = true }

// answer asks admission and the storage, in the order of the general path.
func (p *passage) answer(r *http.Request) (runtime.Object, error) {
	l, k, info := p.lane, p.route.kind, p.route.info
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	ctx = genericapirequest.WithNamespace(ctx, info.Namespace)
	ctx = warning.WithWarningRecorder(ctx, p)
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
	return k.create(ctx, info.Name, question, rest.AdmissionToValidateObjectFunc(l.Admission, attributes, l.Objects))
}

func (p *passage) write(w http.ResponseWriter, answer runtime.Object) (size int, ok bool) {
	out := p.lane.buffers.take()
	defer p.lane.buffers.give(out)
	contentType, ok := p.encode(out, answer)
	if !ok {
		return 0, false
	}
	header := w.Header()
	header["Content-Type"] = []string{contentType}
	header["Content-Length"] = []string{strconv.Itoa(len(out.bytes))}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(out.bytes) // the client has gone
	return len(out.bytes), true
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
