// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// AdmissionPolicies finds the kind of the parameters of a policy; nil for a
// policy that has none. A policy that is missing is an error.
type AdmissionPolicies interface {
	ParamKind(ctx context.Context, mutating bool, policy string) (*admissionregistrationv1.ParamKind, error)
}

// paramGuard keeps those who write policies from reading through them what they
// may not read: a policy tells, by what it refuses, what its parameters hold.
// Kubernetes: pkg/registry/admissionregistration/*/authz.go.
type paramGuard struct {
	authorizer authorizer.UnconditionalAuthorizer
	kinds      *runtime.Scheme
	policies   AdmissionPolicies
}

// mayReadAll refuses a policy whose parameters its writer may not read.
func (g *paramGuard) mayReadAll(ctx context.Context, kind *admissionregistrationv1.ParamKind) field.ErrorList {
	if kind == nil || g.authorizer == nil {
		return nil
	}
	question := g.question(kind)
	question.Verb, question.Name, question.Namespace = "get", "*", "*"
	err := g.ask(ctx, question, func(user string) error {
		return fmt.Errorf(`user %s must have "get" permission on all objects of the referenced paramKind (kind=%s, apiVersion=%s)`, user, kind.Kind, kind.APIVersion)
	})
	if err != nil {
		return field.ErrorList{field.Forbidden(field.NewPath("spec", "paramKind"), err.Error())}
	}
	return nil
}

// mayRead refuses a binding to parameters that its writer may not read.
func (g *paramGuard) mayRead(ctx context.Context, ref *admissionregistrationv1.ParamRef, policy string, mutating bool) field.ErrorList {
	if ref == nil || g.authorizer == nil || g.policies == nil {
		return nil
	}
	kind, missing := g.policies.ParamKind(ctx, mutating, policy)
	question := g.question(kind)
	question.Verb, question.Name, question.Namespace = "get", ref.Name, ref.Namespace
	if ref.Name == "" {
		question.Verb = "list"
	}
	err := g.ask(ctx, question, func(user string) error {
		if missing != nil {
			return fmt.Errorf(`unable to get policy %s to determine minimum required permissions and user %s does not have "%s" permission for all groups, versions and resources`, policy, user, question.Verb)
		}
		return fmt.Errorf(`user %s does not have "%s" permission on the object referenced by paramRef`, user, question.Verb)
	})
	if err != nil {
		return field.ErrorList{field.Forbidden(field.NewPath("spec", "paramRef"), err.Error())}
	}
	return nil
}

// question is about the resource of kind, and about all of them where that is
// not known.
func (g *paramGuard) question(kind *admissionregistrationv1.ParamKind) authorizer.AttributesRecord {
	about := authorizer.AttributesRecord{ResourceRequest: true, APIGroup: "*", APIVersion: "*", Resource: "*"}
	if kind == nil {
		return about
	}
	version, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil {
		return about
	}
	about.APIGroup, about.APIVersion = version.Group, version.Version
	if gvk := version.WithKind(kind.Kind); g.kinds.Recognizes(gvk) {
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		about.Resource = plural.Resource
	}
	return about
}

func (g *paramGuard) ask(ctx context.Context, question authorizer.AttributesRecord, refusal func(user string) error) error {
	user, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return errors.New("cannot identify user to authorize read access to the parameters")
	}
	question.User = user
	decision, _, err := g.authorizer.Authorize(ctx, question)
	if err != nil {
		return err
	}
	if decision != authorizer.DecisionAllow {
		return refusal(user.GetName())
	}
	return nil
}
