// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"
	"strings"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
)

// maxMatchConditions is how many a webhook may have.
const maxMatchConditions = 64

// matchConditions checks the match conditions of webhooks. Its compiler is made
// when the first condition comes: most servers never see one.
type matchConditions struct {
	compiler func() plugincel.Compiler
}

func newMatchConditions() *matchConditions {
	return &matchConditions{compiler: sync.OnceValue(func() plugincel.Compiler {
		return plugincel.NewCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	})}
}

// validate checks that conditions have names of their own and compile. Stored
// expressions may use what new ones may not yet.
// Kubernetes: pkg/apis/admissionregistration/validation (validateMatchConditions).
func (m *matchConditions) validate(conditions []admissionregistrationv1.MatchCondition, stored []string, path *field.Path) field.ErrorList {
	return m.validateWith(conditions, stored, false, path)
}

// validateWith is validate for conditions that may speak of params.
func (m *matchConditions) validateWith(conditions []admissionregistrationv1.MatchCondition, stored []string, params bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(conditions) > maxMatchConditions {
		errs = append(errs, field.TooMany(path, len(conditions), maxMatchConditions))
	}
	var names []string
	for i, condition := range conditions {
		at := path.Index(i)
		errs = append(errs, m.validateExpression(condition.Expression, stored, params, at.Child("expression"))...)
		if condition.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
			continue
		}
		errs = append(errs, invalid(at.Child("name"), condition.Name, utilvalidation.IsQualifiedName(condition.Name))...)
		if slices.Contains(names, condition.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), condition.Name))
		}
		names = append(names, condition.Name)
	}
	return errs
}

func (m *matchConditions) validateExpression(expression string, stored []string, params bool, path *field.Path) field.ErrorList {
	expression = strings.TrimSpace(expression)
	if expression == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	env := environment.NewExpressions
	if slices.Contains(stored, expression) {
		env = environment.StoredExpressions
	}
	condition := &matchconditions.MatchCondition{Expression: expression}
	may := plugincel.OptionalVariableDeclarations{HasParams: params, HasAuthorizer: true}
	return compileErrors(m.compiler().CompileCELExpression(condition, may, env).Error, condition, path)
}
