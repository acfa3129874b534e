// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// CompleteManifest sets the defaults of a policy, a binding of one, or a webhook
// configuration that is in a file, and checks it by the rules for one that is
// created. Its name has the suffix that no created one may have.
func CompleteManifest(obj Object) error {
	for _, resource := range slices.Concat(webhookConfigurationKinds(), admissionPolicies()) {
		kind, ok := resource.(interface {
			completeManifest(obj Object) (field.ErrorList, bool)
		})
		if !ok {
			continue
		}
		if errs, ours := kind.completeManifest(obj); ours {
			return errs.ToAggregate()
		}
	}
	return fmt.Errorf("a %T is not for a file", obj)
}

// completeManifest tells, too, whether obj is of this kind.
func (d *Definition[T]) completeManifest(obj Object) (errs field.ErrorList, ours bool) {
	typed, ours := obj.(T)
	if !ours {
		return nil, false
	}
	if d.Default != nil {
		d.Default(typed)
	}
	checked := typed.DeepCopyObject().(T)
	checked.SetName(strings.TrimSuffix(checked.GetName(), staticSuffix))
	s := newStrategy(d, nil)
	errs = append(s.validateMeta(checked), s.validate(checked)...)
	if d.ValidateCreate != nil {
		errs = append(errs, d.ValidateCreate(checked)...)
	}
	return errs, true
}
