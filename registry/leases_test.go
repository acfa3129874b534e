// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestLeasesAreChecked(t *testing.T) {
	t.Parallel()
	strategy := func(name string) *coordinationv1.CoordinatedLeaseStrategy {
		return ptr.To(coordinationv1.CoordinatedLeaseStrategy(name))
	}
	for name, test := range map[string]struct {
		spec coordinationv1.LeaseSpec
		want []string
	}{
		"an empty lease is free": {},
		"a held lease": {spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("node"), LeaseDurationSeconds: ptr.To[int32](40), LeaseTransitions: ptr.To[int32](0),
		}},
		"a duration is positive": {
			spec: coordinationv1.LeaseSpec{LeaseDurationSeconds: ptr.To[int32](0)},
			want: []string{"spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"},
		},
		"transitions are counted from zero": {
			spec: coordinationv1.LeaseSpec{LeaseTransitions: ptr.To[int32](-1)},
			want: []string{"spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"},
		},
		"a strategy of Kubernetes is known": {spec: coordinationv1.LeaseSpec{Strategy: strategy("OldestEmulationVersion")}},
		"a strategy of somebody else's":     {spec: coordinationv1.LeaseSpec{Strategy: strategy("example.org/theirs"), PreferredHolder: ptr.To("a")}},
		"an unknown strategy": {
			spec: coordinationv1.LeaseSpec{Strategy: strategy("Mine")},
			want: []string{`spec.strategy.strategy: Unsupported value: "Mine": supported values: "OldestEmulationVersion"`},
		},
		"a holder is preferred by a strategy": {
			spec: coordinationv1.LeaseSpec{PreferredHolder: ptr.To("a")},
			want: []string{"spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, secretErrors(validateLease(&coordinationv1.Lease{Spec: test.spec}))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLeaseElectionFieldsStayOnlyWhereTheyAre(t *testing.T) {
	t.Parallel()
	definition := leases().(*Definition[*coordinationv1.Lease])
	with := func() *coordinationv1.Lease {
		return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{
			Strategy: ptr.To(coordinationv1.OldestEmulationVersion), PreferredHolder: ptr.To("a"),
		}}
	}
	created := with()
	definition.PrepareCreate(t.Context(), created)
	if diff := cmp.Diff(coordinationv1.LeaseSpec{}, created.Spec); diff != "" {
		t.Errorf("a new lease (-want +got):\n%s", diff)
	}
	updated := with()
	definition.PrepareUpdate(t.Context(), updated, with())
	if diff := cmp.Diff(with().Spec, updated.Spec); diff != "" {
		t.Errorf("a lease that has them (-want +got):\n%s", diff)
	}
}

func TestLeaseRowNamesTheHolder(t *testing.T) {
	t.Parallel()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "l"}}
	if diff := cmp.Diff([]any{"l", "", "<unknown>"}, leaseRow(lease)); diff != "" {
		t.Errorf("a free lease (-want +got):\n%s", diff)
	}
	lease.Spec.HolderIdentity = ptr.To("node")
	if diff := cmp.Diff([]any{"l", "node", "<unknown>"}, leaseRow(lease)); diff != "" {
		t.Errorf("a held lease (-want +got):\n%s", diff)
	}
}
