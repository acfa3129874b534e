// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/cel"
)

// ParseConfiguration reads an AuthenticationConfiguration
// (apiserver.config.k8s.io, YAML or JSON) and checks it. Fields that nobody
// knows are refused, and so are issuers among ours, whose tokens this server
// checks itself.
func ParseConfiguration(data []byte, ours []string) (*apiserver.AuthenticationConfiguration, error) {
	if len(data) == 0 {
		return nil, errors.New("the file is empty")
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder()
	object, err := runtime.Decode(decoder, data)
	if err != nil {
		return nil, err
	}
	config, ok := object.(*apiserver.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("it holds a %T, not an AuthenticationConfiguration", object)
	}
	if err := validation.ValidateAuthenticationConfiguration(cel.NewDefaultCompiler(), config, ours).ToAggregate(); err != nil {
		return nil, err
	}
	return config, nil
}
