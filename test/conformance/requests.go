// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// request is a request by hand, for what clients hide.
type request struct {
	// as is who asks; nil is the administrator.
	as           *rest.Config
	method, path string
	// body is sent as it is if it is a string, else as JSON.
	body any
	// contentType and accept are JSON if empty.
	contentType, accept string
	header              http.Header
}

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// do sends a request.
func (e *env) do(r request) answer {
	e.Helper()
	as := r.as
	if as == nil {
		as = e.target.Admin
	}
	client, err := rest.HTTPClientFor(as)
	e.check(err)
	sent, err := http.NewRequestWithContext(e.Context(), r.method, as.Host+r.path, strings.NewReader(e.encode(r.body)))
	e.check(err)
	for name, values := range r.header {
		sent.Header[name] = values
	}
	sent.Header.Set("Accept", orJSON(r.accept))
	if r.body != nil {
		sent.Header.Set("Content-Type", orJSON(r.contentType))
	}
	response, err := client.Do(sent)
	e.check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	e.check(err)
	return answer{code: response.StatusCode, header: response.Header, body: body}
}

func orJSON(mediaType string) string {
	if mediaType == "" {
		return "application/json"
	}
	return mediaType
}

func (e *env) encode(body any) string {
	e.Helper()
	switch body := body.(type) {
	case nil:
		return ""
	case string:
		return body
	}
	encoded, err := json.Marshal(body)
	e.check(err)
	return string(encoded)
}

// get is a GET by the administrator.
func (e *env) get(path string) answer {
	e.Helper()
	return e.do(request{method: http.MethodGet, path: path})
}

// want ends the test unless the answer has the code.
func (a answer) want(e *env, code int) answer {
	e.Helper()
	if a.code != code {
		e.Fatalf("the answer is %d %s, want %d", a.code, a.message(), code)
	}
	return a
}

// into decodes the answer.
func (a answer) into(e *env, into any) {
	e.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		e.Fatalf("the answer is not in JSON: %v", err)
	}
}

// message is what a Status says, and nothing of other answers: they may hold
// a token.
func (a answer) message() string {
	var status metav1.Status
	if json.Unmarshal(a.body, &status) != nil || status.Kind != "Status" {
		return fmt.Sprintf("(%d bytes)", len(a.body))
	}
	return status.Message
}

// refusal is the answer as it is pinned.
func (a answer) refusal() string {
	var status metav1.Status
	if json.Unmarshal(a.body, &status) != nil || status.Kind != "Status" {
		return fmt.Sprintf("%d", a.code)
	}
	return fmt.Sprintf("%d %s\n%s", a.code, status.Reason, status.Message)
}
