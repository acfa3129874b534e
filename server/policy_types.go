// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"strings"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"

	"github.com/muster-identity/muster/openapi"
	"github.com/muster-identity/muster/registry"
)

// policyTypes checks the expressions of policies against the types of the stored
// resources that they match. The types are made when the first policy is checked:
// most servers have none.
func policyTypes(resources []registry.Resource, scheme *runtime.Scheme) func(*admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning {
	checker := sync.OnceValue(func() *validatingpolicy.TypeChecker {
		return &validatingpolicy.TypeChecker{
			SchemaResolver: resolver.NewDefinitionsSchemaResolver(openapi.GetOpenAPIDefinitions, scheme),
			RestMapper:     kindsOf(resources),
		}
	})
	return func(policy *admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning {
		return checker().Check(policy)
	}
}

// kindsOf knows the kinds of the stored resources. Of reviews no policy is asked.
func kindsOf(resources []registry.Resource) meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, resource := range resources {
		kinded, ok := resource.(interface {
			GroupVersionKind() schema.GroupVersionKind
		})
		if !ok {
			continue
		}
		kind, plural := kinded.GroupVersionKind(), resource.GroupVersionResource()
		scope := meta.RESTScopeRoot
		if resource.Namespaced() {
			scope = meta.RESTScopeNamespace
		}
		mapper.AddSpecific(kind, plural, plural.GroupVersion().WithResource(strings.ToLower(kind.Kind)), scope)
	}
	return mapper
}
