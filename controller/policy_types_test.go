// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func policyAt(generation, observed int64, warnings ...admissionregistrationv1.ExpressionWarning) *admissionregistrationv1.ValidatingAdmissionPolicy {
	return &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "small", UID: "p", Generation: generation},
		Status: admissionregistrationv1.ValidatingAdmissionPolicyStatus{
			ObservedGeneration: observed, TypeChecking: &admissionregistrationv1.TypeChecking{ExpressionWarnings: warnings},
		},
	}
}

func TestAPolicyIsCheckedOncePerStateOfItsSpec(t *testing.T) {
	t.Parallel()
	old := admissionregistrationv1.ExpressionWarning{FieldRef: "spec.validations[1].expression", Warning: "was wrong"}
	found := admissionregistrationv1.ExpressionWarning{FieldRef: "spec.validations[0].expression", Warning: "is wrong"}
	for name, test := range map[string]struct {
		policy *admissionregistrationv1.ValidatingAdmissionPolicy
		finds  []admissionregistrationv1.ExpressionWarning
		checks int
		want   *admissionregistrationv1.ValidatingAdmissionPolicy
	}{
		"new":                {policyAt(1, 0), []admissionregistrationv1.ExpressionWarning{found}, 1, policyAt(1, 1, found)},
		"new, and all fits":  {policyAt(1, 0), nil, 1, policyAt(1, 1)},
		"changed":            {policyAt(3, 1, old), []admissionregistrationv1.ExpressionWarning{found}, 1, policyAt(3, 3, found)},
		"checked before":     {policyAt(2, 2, old), []admissionregistrationv1.ExpressionWarning{found}, 0, policyAt(2, 2, old)},
		"of a later version": {policyAt(2, 7, old), []admissionregistrationv1.ExpressionWarning{found}, 0, policyAt(2, 7, old)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checks := 0
			store := fakeStore(test.policy)
			reconciled(t, newPolicyTypes(store, func(*admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning {
				checks++
				return test.finds
			}), named("small"))
			got := &admissionregistrationv1.ValidatingAdmissionPolicy{}
			if err := store.Get(t.Context(), client.ObjectKey{Name: "small"}, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want.Status, got.Status); diff != "" || checks != test.checks {
				t.Errorf("checked %d times, want %d; status (-want +got):\n%s", checks, test.checks, diff)
			}
		})
	}
}

func TestWarningsGoWhenThePolicyIsMended(t *testing.T) {
	t.Parallel()
	store := fakeStore(policyAt(1, 0))
	found := []admissionregistrationv1.ExpressionWarning{{FieldRef: "spec.validations[0].expression", Warning: "is wrong"}}
	keeper := newPolicyTypes(store, func(*admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning {
		return found
	})
	for generation, want := range [][]admissionregistrationv1.ExpressionWarning{found, nil} {
		found = want
		got := &admissionregistrationv1.ValidatingAdmissionPolicy{}
		if err := store.Get(t.Context(), client.ObjectKey{Name: "small"}, got); err != nil {
			t.Fatal(err)
		}
		got.Generation = int64(generation) + 1
		if err := store.Update(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		reconciled(t, keeper, named("small"))
		if err := store.Get(t.Context(), client.ObjectKey{Name: "small"}, got); err != nil {
			t.Fatal(err)
		}
		var warnings []admissionregistrationv1.ExpressionWarning
		if checking := got.Status.TypeChecking; checking != nil {
			warnings = checking.ExpressionWarnings
		}
		if diff := cmp.Diff(want, warnings); diff != "" || got.Status.ObservedGeneration != got.Generation {
			t.Errorf("generation %d, observed %d; warnings (-want +got):\n%s", got.Generation, got.Status.ObservedGeneration, diff)
		}
	}
}

func TestAPolicyThatIsGoneIsNotCheckedAndOneThatGoesMeanwhileIsNoError(t *testing.T) {
	t.Parallel()
	none := func(*admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning {
		return nil
	}
	reconciled(t, newPolicyTypes(fakeStore(), none), named("small"))
	going := interceptor.NewClient(fakeStore(policyAt(1, 0)), interceptor.Funcs{
		SubResourceApply: func(context.Context, client.Client, string, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
			return apierrors.NewNotFound(admissionregistrationv1.Resource("validatingadmissionpolicies"), "small")
		},
	})
	reconciled(t, newPolicyTypes(going, none), named("small"))
}
