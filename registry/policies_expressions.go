// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// expressions checks what one policy says in CEL. Variables are declared in the
// order in which they come, so each policy has a compiler of its own.
// Kubernetes: pkg/apis/admissionregistration/validation.
type expressions struct {
	conditions *matchConditions
	// policy is the name of the policy, params whether it has parameters.
	policy string
	params bool
	// stored are expressions of the policy as it is: they may use what new ones
	// may not yet. sameConditions is true for match conditions that have not
	// changed; nobody looks at those.
	stored         []string
	sameConditions bool

	compiler *plugincel.CompositedCompiler
}

func (e *expressions) compile(expression plugincel.ExpressionAccessor, may plugincel.OptionalVariableDeclarations, stored string, path *field.Path) field.ErrorList {
	compiler, err := e.compositing()
	if err != nil {
		return field.ErrorList{field.InternalError(path, err)}
	}
	return compileErrors(compiler.CompileCELExpression(expression, may, e.environment(stored)).Error, expression, path)
}

func (e *expressions) compositing() (*plugincel.CompositedCompiler, error) {
	if e.compiler != nil {
		return e.compiler, nil
	}
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	e.compiler = compiler
	return compiler, err
}

func (e *expressions) environment(expression string) environment.Type {
	if slices.Contains(e.stored, expression) {
		return environment.StoredExpressions
	}
	return environment.NewExpressions
}

func compileErrors(err *cel.Error, expression plugincel.ExpressionAccessor, path *field.Path) field.ErrorList {
	switch {
	case err == nil:
		return nil
	case err.Type == cel.ErrorTypeRequired:
		return field.ErrorList{field.Required(path, err.Detail)}
	case err.Type == cel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(path, expression.GetExpression(), err.Detail)}
	default:
		return field.ErrorList{field.InternalError(path, err)}
	}
}

var celName = regexp.MustCompile(`^[_a-zA-Z][_a-zA-Z0-9]*$`)

// celReserved are words that CEL keeps for itself.
var celReserved = []string{
	"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
	"loop", "package", "namespace", "return", "var", "void", "while",
}

func (e *expressions) variable(v *admissionregistrationv1.Variable, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case strings.TrimSpace(v.Name) == "":
		errs = append(errs, field.Required(path.Child("name"), "name is not specified"))
	case !celName.MatchString(v.Name) || slices.Contains(celReserved, v.Name):
		errs = append(errs, field.Invalid(path.Child("name"), v.Name, "must be a valid CEL identifier"))
	}
	at := path.Child("expression")
	if strings.TrimSpace(v.Expression) == "" {
		return append(errs, field.Required(at, "expression is not specified"))
	}
	compiler, err := e.compositing()
	if err != nil {
		return append(errs, field.InternalError(at, err))
	}
	variable := &validating.Variable{Name: v.Name, Expression: v.Expression}
	result := compiler.CompileAndStoreVariable(variable, e.declared(), e.environment(v.Expression))
	return append(errs, compileErrors(result.Error, variable, at)...)
}

func (e *expressions) declared() plugincel.OptionalVariableDeclarations {
	return plugincel.OptionalVariableDeclarations{HasParams: e.params, HasAuthorizer: true}
}

func (e *expressions) validation(v *admissionregistrationv1.Validation, path *field.Path) field.ErrorList {
	const empty = "must be non-empty if specified"
	var errs field.ErrorList
	if strings.TrimSpace(v.Expression) == "" {
		errs = append(errs, field.Required(path.Child("expression"), "expression is not specified"))
	} else {
		errs = append(errs, e.compile(&validating.ValidationCondition{Expression: v.Expression}, e.declared(), v.Expression, path.Child("expression"))...)
	}
	at := path.Child("messageExpression")
	if v.MessageExpression != "" && strings.TrimSpace(v.MessageExpression) == "" {
		errs = append(errs, field.Invalid(at, v.MessageExpression, empty))
	} else if v.MessageExpression != "" {
		message := &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}
		errs = append(errs, e.compile(message, plugincel.OptionalVariableDeclarations{HasParams: e.params}, v.MessageExpression, at)...)
	}
	if v.Message != "" && strings.TrimSpace(v.Message) == "" {
		errs = append(errs, field.Invalid(path.Child("message"), v.Message, empty))
	} else if strings.ContainsAny(strings.TrimSpace(v.Message), "\n\r") {
		errs = append(errs, field.Invalid(path.Child("message"), v.Message, "must not contain line breaks"))
	}
	reasons := []string{string(metav1.StatusReasonForbidden), string(metav1.StatusReasonInvalid), string(metav1.StatusReasonRequestEntityTooLarge)}
	return append(errs, among(v.Reason, reasons, path.Child("reason"))...)
}

// maxAnnotationExpression is the most bytes that the expression of an audit
// annotation may have.
const maxAnnotationExpression = 5 * 1024

func (e *expressions) annotation(a *admissionregistrationv1.AuditAnnotation, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if e.policy == "" {
		errs = append(errs, field.Invalid(path.Child("key"), a.Key, "requires metadata.name be non-empty"))
	} else {
		key := e.policy + "/" + a.Key
		errs = append(errs, invalid(path.Child("key"), key, utilvalidation.IsQualifiedName(key))...)
	}
	at, expression := path.Child("valueExpression"), strings.TrimSpace(a.ValueExpression)
	switch {
	case expression == "":
		return append(errs, field.Required(at, "valueExpression is not specified"))
	case len(expression) > maxAnnotationExpression:
		return append(errs, field.Required(at, fmt.Sprintf("must not exceed %d bytes in length", maxAnnotationExpression)))
	}
	condition := &validating.AuditAnnotationCondition{ValueExpression: expression}
	return append(errs, e.compile(condition, e.declared(), a.ValueExpression, at)...)
}

// mutation checks a patch: it has the one form that its type names.
func (e *expressions) mutation(m *admissionregistrationv1.Mutation, path *field.Path) field.ErrorList {
	apply, json := path.Child("applyConfiguration"), path.Child("jsonPatch")
	switch m.PatchType {
	case "":
		return field.ErrorList{field.Required(path.Child("patchType"), "")}
	case admissionregistrationv1.PatchTypeJSONPatch:
		var errs field.ErrorList
		if m.JSONPatch == nil {
			errs = append(errs, field.Required(json, "must be specified when patchType is JSONPatch"))
		} else {
			errs = append(errs, e.patch(&patch.JSONPatchCondition{Expression: strings.TrimSpace(m.JSONPatch.Expression)}, m.JSONPatch.Expression, json)...)
		}
		if m.ApplyConfiguration != nil {
			errs = append(errs, field.Invalid(apply, "{applyConfiguration}", "must not be specified when patchType is JSONPatch"))
		}
		return errs
	case admissionregistrationv1.PatchTypeApplyConfiguration:
		var errs field.ErrorList
		if m.ApplyConfiguration == nil {
			errs = append(errs, field.Required(apply, "must be specified when patchType is ApplyConfiguration"))
		} else {
			errs = append(errs, e.patch(&patch.ApplyConfigurationCondition{Expression: strings.TrimSpace(m.ApplyConfiguration.Expression)}, m.ApplyConfiguration.Expression, apply)...)
		}
		if m.JSONPatch != nil {
			errs = append(errs, field.Invalid(json, "{jsonPatch}", "must not be specified when patchType is ApplyConfiguration"))
		}
		return errs
	}
	return among(&m.PatchType, []string{"ApplyConfiguration", "JSONPatch"}, path.Child("patchType"))
}

func (e *expressions) patch(expression plugincel.ExpressionAccessor, written string, path *field.Path) field.ErrorList {
	if expression.GetExpression() == "" {
		return field.ErrorList{field.Required(path.Child("expression"), "")}
	}
	may := e.declared()
	may.HasPatchTypes = true
	return e.compile(expression, may, written, path.Child("expression"))
}

// expressionsOfValidating are those that are in force.
func expressionsOfValidating(p *admissionregistrationv1.ValidatingAdmissionPolicy) []string {
	var all []string
	for _, c := range p.Spec.MatchConditions {
		all = append(all, c.Expression)
	}
	for _, v := range p.Spec.Validations {
		all = append(all, v.Expression, v.MessageExpression)
	}
	for _, a := range p.Spec.AuditAnnotations {
		all = append(all, a.ValueExpression)
	}
	return all
}

// expressionsOfMutating are those that are in force.
func expressionsOfMutating(p *admissionregistrationv1.MutatingAdmissionPolicy) []string {
	var all []string
	for _, c := range p.Spec.MatchConditions {
		all = append(all, c.Expression)
	}
	for _, m := range p.Spec.Mutations {
		if m.ApplyConfiguration != nil {
			all = append(all, m.ApplyConfiguration.Expression)
		}
		if m.JSONPatch != nil {
			all = append(all, m.JSONPatch.Expression)
		}
	}
	return all
}
