// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/openapi"

	"github.com/muster-identity/muster/registry"
)

// serviceResolver finds where the service of a webhook is: at its address in
// the cluster, for which whoever runs one has to care, or at its external name.
// Kubernetes: kube-aggregator/pkg/apiserver/resolvers.go.
type serviceResolver struct{ stores stores }

// ResolveEndpoint returns the URL of a service.
func (r serviceResolver) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	obj, err := r.stores.Get(context.Background(), corev1.Resource("services"), namespace, name)
	if err != nil {
		return nil, err
	}
	service, ok := obj.(*corev1.Service)
	if !ok {
		return nil, fmt.Errorf("service %q is a %T", name, obj)
	}
	host, err := serviceHost(service, port)
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}, nil
}

func serviceHost(service *corev1.Service, port int32) (string, error) {
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return service.Spec.ExternalName, nil
	case service.Spec.ClusterIP == corev1.ClusterIPNone:
		return "", errors.New(`cannot route to service with ClusterIP "None"`)
	}
	for _, p := range service.Spec.Ports {
		if p.Port == port {
			return service.Spec.ClusterIP, nil
		}
	}
	return "", fmt.Errorf("no service port %d found for service %q", port, service.Name)
}

// policyParams finds the kinds of parameters in the store.
type policyParams struct{ stores stores }

// ParamKind is that of the policy, nil for none.
func (p policyParams) ParamKind(ctx context.Context, mutating bool, policy string) (*admissionregistrationv1.ParamKind, error) {
	resource := "validatingadmissionpolicies"
	if mutating {
		resource = "mutatingadmissionpolicies"
	}
	obj, err := p.stores.Get(ctx, admissionregistrationv1.Resource(resource), "", policy)
	if err != nil {
		return nil, err
	}
	switch policy := obj.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return policy.Spec.ParamKind, nil
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		return policy.Spec.ParamKind, nil
	}
	return nil, fmt.Errorf("policy %q is a %T", policy, obj)
}

// ownSchemas is a client that need not ask this server which schemas it has:
// the library does so every five seconds, and the first answer costs more than
// the rest of a start. A schema is read when a policy first needs it.
type ownSchemas struct{ kubernetes.Interface }

// Discovery is the discovery of the client, but for the schemas.
func (o ownSchemas) Discovery() discovery.DiscoveryInterfaces {
	return schemaDiscovery{o.Interface.Discovery()}
}

type schemaDiscovery struct{ discovery.DiscoveryInterfaces }

// OpenAPIV3 knows the schemas of all that is served.
func (d schemaDiscovery) OpenAPIV3() openapi.Client {
	return servedSchemas{d.DiscoveryInterfaces.OpenAPIV3()}
}

type servedSchemas struct{ openapi.Client }

// Paths are those of the served groups.
func (s servedSchemas) Paths() (map[string]openapi.GroupVersion, error) {
	paths := map[string]openapi.GroupVersion{}
	for _, version := range registry.GroupVersions(registry.Table()) {
		path := schemaPath(version)
		paths[path] = servedSchema{client: s.Client, path: path}
	}
	return paths, nil
}

func schemaPath(version schema.GroupVersion) string {
	if version.Group == "" {
		return "api/" + version.Version
	}
	return "apis/" + version.String()
}

// servedSchema is the schema of one group.
type servedSchema struct {
	client openapi.Client
	path   string
}

// Schema reads it from this server.
func (s servedSchema) Schema(contentType string) ([]byte, error) {
	paths, err := s.client.Paths()
	if err != nil {
		return nil, err
	}
	found, ok := paths[s.path]
	if !ok {
		return nil, fmt.Errorf("there is no schema of %s", strings.TrimPrefix(s.path, "apis/"))
	}
	return found.Schema(contentType)
}

// ServerRelativeURL names a state of the schema: it never changes.
func (s servedSchema) ServerRelativeURL() string { return "/openapi/v3/" + s.path }
