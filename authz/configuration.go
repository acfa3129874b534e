// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"fmt"
	"slices"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/load"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authorization/cel"
)

// The types of authorizers, by the values of --authorization-mode.
const (
	TypeAlwaysAllow apiserver.AuthorizerType = "AlwaysAllow"
	TypeAlwaysDeny  apiserver.AuthorizerType = "AlwaysDeny"
	TypeWebhook     apiserver.AuthorizerType = apiserver.TypeWebhook
	TypeRBAC        apiserver.AuthorizerType = "RBAC"
	TypeNode        apiserver.AuthorizerType = "Node"
)

// Types are all types of authorizers there are. Kubernetes has ABAC besides,
// whose policies are a file that wants a restart for each change.
func Types() []string {
	return []string{string(TypeAlwaysAllow), string(TypeAlwaysDeny), string(TypeWebhook), string(TypeRBAC), string(TypeNode)}
}

// ParseConfiguration reads an AuthorizationConfiguration
// (apiserver.config.k8s.io, YAML or JSON) and checks it, conditions included. The
// required types must be in it. The texts are those of Kubernetes.
func ParseConfiguration(data []byte, required ...apiserver.AuthorizerType) (*apiserver.AuthorizationConfiguration, error) {
	config, err := load.LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("failed to load AuthorizationConfiguration from file: %w", err)
	}
	known, repeatable := sets.New(Types()...), sets.New(string(TypeWebhook))
	if errs := validation.ValidateAuthorizationConfiguration(cel.NewDefaultCompiler(), nil, config, known, repeatable); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	var errs []error
	for _, entry := range config.Authorizers {
		if want := NameOf(entry.Type); entry.Type != TypeWebhook && entry.Name != want {
			errs = append(errs, fmt.Errorf("expected name %s for authorizer %s instead of %s", want, entry.Type, entry.Name))
		}
	}
	if missing := missingTypes(config, required); len(missing) > 0 {
		errs = append(errs, fmt.Errorf("missing required types: %v", missing))
	}
	if err := utilerrors.NewAggregate(errs); err != nil {
		return nil, err
	}
	return config, nil
}

// NameOf is the name of the one authorizer of a type.
func NameOf(authorizer apiserver.AuthorizerType) string { return strings.ToLower(string(authorizer)) }

// Has tells whether an authorizer of a type is configured.
func Has(config *apiserver.AuthorizationConfiguration, wanted apiserver.AuthorizerType) bool {
	return slices.ContainsFunc(config.Authorizers, func(a apiserver.AuthorizerConfiguration) bool { return a.Type == wanted })
}

func missingTypes(config *apiserver.AuthorizationConfiguration, required []apiserver.AuthorizerType) []apiserver.AuthorizerType {
	var missing []apiserver.AuthorizerType
	for _, wanted := range required {
		if !Has(config, wanted) {
			missing = append(missing, wanted)
		}
	}
	slices.Sort(missing)
	return missing
}
