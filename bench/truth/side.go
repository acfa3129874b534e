// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/bench/system"
)

// side is one of the two systems.
type side struct {
	name   string
	url    string
	client *http.Client
	// exists is the policy in force, and rounds counts policies.
	exists []object
	rounds int
}

func newSide(s *system.System) (*side, error) {
	config := rest.CopyConfig(s.Admin)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", s.Name, err)
	}
	return &side{name: s.Name, url: s.URL, client: client}, nil
}

// ask puts a question.
func (s *side) ask(ctx context.Context, q question) (answer, error) {
	status, body, err := s.do(ctx, q.As, q.Method, q.Path, q.Body)
	if err != nil {
		return answer{}, err
	}
	a, err := read(q.Sort, status, body)
	if err != nil {
		return answer{}, fmt.Errorf("%s answers %s %s with what cannot be read: %w", s.name, q.Method, q.Path, err)
	}
	return a, nil
}

// do makes a request as somebody; an empty identity is the administrator.
func (s *side) do(ctx context.Context, as identity, method, path string, object runtime.Object) (status int, body []byte, err error) {
	sent, err := encode(object)
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(sent))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", runtime.ContentTypeJSON)
	if as.User != "" {
		request.Header.Set("Impersonate-User", as.User)
	}
	for _, group := range as.Groups {
		request.Header.Add("Impersonate-Group", group)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// must is do for what has to succeed. into may be nil.
func (s *side) must(ctx context.Context, method, path string, object, into runtime.Object) error {
	status, body, err := s.do(ctx, identity{}, method, path, object)
	if err != nil {
		return err
	}
	if status >= http.StatusBadRequest {
		return fmt.Errorf("%s: %s %s: status %d: %s", s.name, method, path, status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func encode(object runtime.Object) ([]byte, error) {
	if object == nil {
		return nil, nil
	}
	kinds, _, err := scheme.Scheme.ObjectKinds(object)
	if err != nil {
		return nil, err
	}
	encoder := scheme.Codecs.LegacyCodec(schema.GroupVersion{Group: kinds[0].Group, Version: kinds[0].Version})
	encoded, err := runtime.Encode(encoder, object)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", object, err)
	}
	return encoded, nil
}

const rbacPath = "/apis/rbac.authorization.k8s.io/v1/"

// pathOf is where an object is made, or where it is.
func pathOf(obj object, named bool) string {
	plural := map[bool]string{}
	switch obj.(type) {
	case *rbacv1.Role, *rbacv1.ClusterRole:
		plural[true], plural[false] = "roles", "clusterroles"
	default:
		plural[true], plural[false] = "rolebindings", "clusterrolebindings"
	}
	namespace := obj.GetNamespace()
	path := rbacPath + plural[false]
	if namespace != "" {
		path = rbacPath + "namespaces/" + namespace + "/" + plural[true]
	}
	if named {
		path += "/" + obj.GetName()
	}
	return path
}
