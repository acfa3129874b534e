// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"

	"github.com/muster-identity/muster/rbac"
)

// question is what is asked about, as the command line has it.
type question struct {
	kubeconfig, namespace, subresource string
	everywhere                         bool
	// verb and target are VERB and RESOURCE[/NAME], or a path.
	verb, target string
}

func (q *question) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&q.namespace, "namespace", "n", "", "Namespace of the request; that of the kubeconfig's context if not given.")
	flags.BoolVarP(&q.everywhere, "all-namespaces", "A", false, "Ask about a request in all namespaces at once.")
	flags.StringVar(&q.subresource, "subresource", "", "Part of the resource that the request is for, such as log or token.")
	flags.StringVar(&q.kubeconfig, "kubeconfig", "", "Kubeconfig of the caller.")
}

// request is what rules are matched against, and the namespace that counts: none
// for paths, for what is in no namespace, and for all of them.
func (q *question) request(kinds discovery.DiscoveryInterface, namespace string, warn func(string)) (rbac.Request, string, error) {
	if strings.HasPrefix(q.target, "/") {
		if q.subresource != "" {
			return rbac.Request{}, "", fmt.Errorf("--subresource goes with a resource, and %s is a path", q.target)
		}
		return rbac.Request{Verb: q.verb, Path: q.target}, "", nil
	}
	resource, name, _ := strings.Cut(q.target, "/")
	if resource == "" || strings.Contains(name, "/") {
		return rbac.Request{}, "", fmt.Errorf("%q is no resource: write RESOURCE or RESOURCE/NAME, its parts with --subresource, and paths with a / in front", q.target)
	}
	request := rbac.Request{Verb: q.verb, ResourceRequest: true, Subresource: q.subresource, Name: name}
	found, namespaced, err := resolve(kinds, resource)
	if err != nil {
		warn(fmt.Sprintf("the server does not have a resource type %q: taken as it stands", resource))
	}
	request.APIGroup, request.Resource = found.Group, found.Resource
	if !namespaced || q.everywhere {
		namespace = ""
	}
	return request, namespace, nil
}

// resolve finds the resource that people mean by a name: plural, singular or
// short, with its group after a dot if need be. What the server does not have is
// taken as it stands, and in a namespace.
func resolve(kinds discovery.DiscoveryInterface, name string) (resource schema.GroupResource, namespaced bool, err error) {
	if name == "*" {
		return schema.GroupResource{Group: "*", Resource: "*"}, true, nil
	}
	cached := memory.NewMemCacheClient(kinds)
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
	given := schema.ParseGroupResource(name)
	found, err := mapper.ResourceFor(given.WithVersion(""))
	if err != nil {
		return given, true, err
	}
	kind, err := mapper.KindFor(found)
	if err != nil {
		return found.GroupResource(), true, nil //nolint:nilerr // what has no kind is in a namespace for all that is known
	}
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return found.GroupResource(), true, nil //nolint:nilerr // the same
	}
	return found.GroupResource(), mapping.Scope.Name() == meta.RESTScopeNameNamespace, nil
}

// sentence says what a request is, as in: get pods/log named web in the namespace dev.
func sentence(q rbac.Request, namespace string) string {
	if !q.ResourceRequest {
		return q.Verb + " " + q.Path
	}
	text := q.Verb + " " + schema.GroupResource{Group: q.APIGroup, Resource: q.Resource}.String()
	if q.Subresource != "" {
		text += "/" + q.Subresource
	}
	if q.Name != "" {
		text += " named " + q.Name
	}
	if namespace != "" {
		text += " in the namespace " + namespace
	}
	return text
}
