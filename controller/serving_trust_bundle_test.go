// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// publishers are servers of one store, of which the first leads.
type publishers struct {
	store client.WithWatch
	now   time.Time
	read  [][]byte
}

// publish has each server announce its authorities, and the first keep order.
func (p *publishers) publish(t *testing.T) (bundles []string) {
	t.Helper()
	clock := func() time.Time { return p.now }
	for _, read := range p.read[1:] {
		if _, err := (announcement{p.store, clock}).make(t.Context(), read); err != nil {
			t.Fatal(err)
		}
	}
	leader := newServingTrustBundle(p.store, func() ([]byte, error) { return p.read[0], nil }, clock, NewMetrics().trustBundle)
	if after := reconciled(t, leader, named(servingSigner)); after != servingPeriod {
		t.Errorf("comes back after %s", after)
	}
	var all certificatesv1.ClusterTrustBundleList
	if err := p.store.List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, bundle := range all.Items {
		if !strings.HasPrefix(bundle.Name, "kubernetes.io:kube-apiserver-serving:") || bundle.Spec.SignerName != servingSigner {
			t.Errorf("a bundle is called %q, of %q", bundle.Name, bundle.Spec.SignerName)
		}
		bundles = append(bundles, bundle.Spec.TrustBundle)
	}
	return bundles
}

func wantBundles(t *testing.T, got []string, want ...[]byte) {
	t.Helper()
	has := map[string]bool{}
	for _, bundle := range got {
		has[bundle] = true
	}
	for _, bundle := range want {
		if !has[string(bundle)] {
			t.Errorf("not published:\n%s", bundle)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d bundles, want %d", len(got), len(want))
	}
}

func TestTheBundleOfTheServerIsThatOfItsAuthoritiesAlone(t *testing.T) {
	t.Parallel()
	one, two := servingCA(t), servingCA(t)
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	both := append(append([]byte(nil), one...), two...)
	p := &publishers{store: fakeStore(), now: noon, read: [][]byte{append(append(append(append([]byte(nil), one...), leaf...), two...), one...)}}
	wantBundles(t, p.publish(t), both)
	var all certificatesv1.ClusterTrustBundleList
	if err := p.store.List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	spoilt := all.Items[0].DeepCopy()
	spoilt.Spec.TrustBundle = string(two)
	foreign := &certificatesv1.ClusterTrustBundle{}
	foreign.Name, foreign.Spec = "kubernetes.io:kube-apiserver-serving:foreign", certificatesv1.ClusterTrustBundleSpec{SignerName: servingSigner, TrustBundle: string(servingCA(t))}
	if err := errors.Join(p.store.Update(t.Context(), spoilt), p.store.Create(t.Context(), foreign)); err != nil {
		t.Fatal(err)
	}
	wantBundles(t, p.publish(t), both) // it is restored, and what no server announces goes
	p.read[0] = leaf
	_, err := newServingTrustBundle(p.store, func() ([]byte, error) { return leaf, nil }, time.Now, NewMetrics().trustBundle).Reconcile(t.Context(), requestFor(servingSigner))
	if err == nil {
		t.Error("a bundle without an authority is published")
	}
}

func TestBundlesOfServersThatAreGoneGoAfterADay(t *testing.T) {
	t.Parallel()
	one, two, three := servingCA(t), servingCA(t), servingCA(t)
	p := &publishers{store: fakeStore(), now: noon, read: [][]byte{one, two}}
	wantBundles(t, p.publish(t), one, two)
	p.now = p.now.Add(announcedFor + time.Hour)
	wantBundles(t, p.publish(t), one, two) // they say so again
	p.read = [][]byte{three}               // the authorities of the first change, the second is gone
	p.now = p.now.Add(announcedFor - time.Second)
	wantBundles(t, p.publish(t), one, two, three)
	p.now = p.now.Add(time.Second)
	wantBundles(t, p.publish(t), three)
}

func TestAnAnnouncementIsWrittenWhenItSaysSomethingNew(t *testing.T) {
	t.Parallel()
	one := servingCA(t)
	p := &publishers{store: fakeStore(), now: noon, read: [][]byte{one}}
	version := func() string {
		t.Helper()
		p.publish(t)
		var all certificatesv1.ClusterTrustBundleList
		if err := p.store.List(t.Context(), &all); err != nil || len(all.Items) != 1 {
			t.Fatalf("%d bundles (%v)", len(all.Items), err)
		}
		return all.Items[0].ResourceVersion
	}
	first := version()
	p.now = p.now.Add(announceAgain - time.Second)
	if version() != first {
		t.Error("it is written again though nothing is new")
	}
	p.now = p.now.Add(time.Second)
	if version() == first {
		t.Error("it is not written again after its time")
	}
}

func TestTheRootBundleHasTheAuthoritiesOfAllServersInOneOrder(t *testing.T) {
	t.Parallel()
	announced := func(name, bundle string) *certificatesv1.ClusterTrustBundle {
		made := &certificatesv1.ClusterTrustBundle{}
		made.Name, made.Spec = name, certificatesv1.ClusterTrustBundleSpec{SignerName: servingSigner, TrustBundle: bundle}
		return made
	}
	store := fakeStore(announced("a", pemOf("one")), announced("b", pemOf("two")+"a comment\n"+pemOf("three")), activeNS("dev"), activeNS("ops"))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}))
	want := pemOf("one") + pemOf("three") + pemOf("two")
	for leader, own := range map[string]string{"one": pemOf("one"), "two": pemOf("two") + key + pemOf("three")} {
		bundle := newRootBundle(func() ([]byte, error) { return []byte(own), nil })
		got, err := bundle.known(t.Context(), store)
		if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
			t.Errorf("%s leads: %v; bundle (-want +got):\n%s", leader, err, diff)
		}
	}

	var own string
	failing := errors.New("no such file")
	r := newRootCA(store, newRootBundle(func() ([]byte, error) {
		if own == "" {
			return nil, failing
		}
		return []byte(own), nil
	}), NewMetrics().rootCA)
	if _, err := r.Reconcile(t.Context(), requestFor("dev")); !errors.Is(err, failing) {
		t.Errorf("nothing is known, and the error is %v", err)
	}
	for _, step := range []struct {
		own     string
		delete  string
		renewed int
		want    string
	}{
		{own: pemOf("one"), renewed: 2, want: want},
		{own: pemOf("one"), renewed: 0, want: want},
		{own: "", renewed: 0, want: want}, // what was read last holds
		{own: "", delete: "b", renewed: 2, want: pemOf("one")},
		{own: pemOf("four"), renewed: 2, want: pemOf("four") + pemOf("one")},
	} {
		own = step.own
		if step.delete != "" {
			if err := store.Delete(t.Context(), announced(step.delete, "")); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.renewed(t.Context(), nil); len(got) != step.renewed {
			t.Errorf("%v: asks for %v", step, got)
		}
		bundle, err := r.bundle.known(t.Context(), store)
		if diff := cmp.Diff(step.want, string(bundle)); diff != "" || err != nil {
			t.Errorf("%v; bundle (-want +got):\n%s", err, diff)
		}
	}
}
