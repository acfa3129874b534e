// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"net/http"
	"strings"

	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// route is where a request of plain form goes.
type route struct {
	// kind is what is asked for, or nil if it is the document, or the object that
	// info names.
	kind     *kind
	document *Document
	info     *genericapirequest.RequestInfo
	// in and out are the encodings of the question and of the answer.
	in, out encoding
}

// filters are those on the way to the answer.
func (r route) filters(l *Lane) http.Handler {
	if r.document != nil || r.kind != nil && !r.kind.warns {
		return l.filters
	}
	return l.warned
}

type encoding int

const (
	asJSON encoding = iota
	asProtobuf
)

const (
	mediaJSON     = "application/json"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
)

// match tells where a request goes. It is not ok if there is anything about the
// request that the lane does not know: another method, path or parameter, a
// header that might mean something.
func (l *Lane) match(r *http.Request) (route, bool) {
	if r.URL.RawQuery != "" || r.URL.RawPath != "" || !plainHeader(r.Header) {
		return route{}, false
	}
	switch r.Method {
	case http.MethodGet:
		return l.matchGet(r)
	case http.MethodPost:
		return l.matchKind(r)
	}
	return route{}, false
}

func (l *Lane) matchGet(r *http.Request) (route, bool) {
	if r.ContentLength != 0 {
		return route{}, false
	}
	if document, ok := l.Documents[r.URL.Path]; ok {
		return route{document: &document, info: &genericapirequest.RequestInfo{Path: r.URL.Path, Verb: "get"}}, true
	}
	if l.Reading == nil || !strings.HasPrefix(r.URL.Path, "/api") {
		return route{}, false
	}
	info, err := l.Requests.NewRequestInfo(r)
	if err != nil || !info.IsResourceRequest || info.Verb != "get" || info.Name == "" || info.Subresource != "" {
		return route{}, false
	}
	return route{info: info}, true
}

func (l *Lane) matchKind(r *http.Request) (route, bool) {
	path, namespace, name := r.URL.Path, "", ""
	if rest, ok := strings.CutPrefix(path, namespaces); ok {
		if namespace, name, ok = tokenPath(rest); !ok {
			return route{}, false
		}
		path = tokenRequests
	}
	k, ok := l.kinds[path]
	if !ok || r.ContentLength <= 0 || r.ContentLength > maxBody {
		return route{}, false
	}
	in, ok := contentType(r.Header.Get("Content-Type"))
	if !ok {
		return route{}, false
	}
	out, ok := accepted(r.Header.Get("Accept"))
	if !ok {
		return route{}, false
	}
	return route{kind: k, in: in, out: out, info: k.info(r.URL.Path, namespace, name)}, true
}

// maxBody bounds the questions of the lane, in bytes. A token has about a
// thousand.
const maxBody = 16 << 10

const namespaces = "/api/v1/namespaces/"

// tokenPath takes {namespace}/serviceaccounts/{name}/token apart.
func tokenPath(rest string) (namespace, name string, ok bool) {
	namespace, rest, _ = strings.Cut(rest, "/")
	if rest, ok = strings.CutPrefix(rest, "serviceaccounts/"); !ok {
		return "", "", false
	}
	if name, ok = strings.CutSuffix(rest, "/token"); !ok {
		return "", "", false
	}
	return namespace, name, namespace != "" && name != "" && !strings.Contains(name, "/")
}

// plainHeader tells whether the lane knows all headers. One that it does not
// know may be for the general path: an impersonation, a front proxy's word, a
// trace, the audit id of a caller.
func plainHeader(header http.Header) bool {
	for name, values := range header {
		switch name {
		case "Accept", "Authorization", "Content-Type", "User-Agent":
			if len(values) != 1 {
				return false
			}
		case "Accept-Encoding", "Content-Length", "Kubectl-Command", "Kubectl-Session":
		default:
			return false
		}
	}
	return plainAgent(header.Get("User-Agent"))
}

// plainAgent tells whether the name of the client is printable, and not that of
// a program for people, who get their answers indented.
func plainAgent(agent string) bool {
	for _, people := range [...]string{"curl", "Wget", "Mozilla/5.0"} {
		if strings.HasPrefix(agent, people) {
			return false
		}
	}
	for i := range len(agent) {
		if agent[i] < ' ' || agent[i] > '~' {
			return false
		}
	}
	return true
}

func contentType(value string) (encoding, bool) {
	switch value {
	case mediaJSON:
		return asJSON, true
	case mediaProtobuf:
		return asProtobuf, true
	}
	return 0, false
}

// accepted are the ways in which client-go and plain clients ask.
func accepted(value string) (encoding, bool) {
	switch value {
	case "", "*/*", mediaJSON, mediaJSON + ", */*", mediaJSON + ",*/*":
		return asJSON, true
	case mediaProtobuf, mediaProtobuf + "," + mediaJSON, mediaProtobuf + ", " + mediaJSON:
		return asProtobuf, true
	}
	return 0, false
}
