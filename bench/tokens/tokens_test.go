// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tokens shows the same tokens to the service account authenticators of Kubernetes and to that of Muster, in the same
// world. It stands apart because it takes much of Kubernetes to build.
package tokens

import (
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	kubernetes "k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

var seeded = flag.Uint64("seed", 0, "show the tokens of this seed again")

// shown is how many random tokens both are shown.
const shown = 10_000

const (
	api   = "https://muster.example"
	other = "https://old.muster.example"
)

// answer is what comes of a token.
type answer struct {
	OK          bool
	Error       string
	User        *user.DefaultInfo
	Audiences   authenticator.Audiences
	Annotations map[string]string
	Warnings    []string
	// Marked are the secrets that are to be marked as used, each with the day.
	Marked []string
}

// warnings are those for one caller.
type warnings struct{ texts []string }

func (w *warnings) AddWarning(_, text string) { w.texts = append(w.texts, text) }

// ask shows a token to one of them.
func ask(t *testing.T, who authenticator.Token, wanted authenticator.Audiences, compact string, marked *[]string) answer {
	t.Helper()
	*marked = nil
	ctx := audit.WithAuditContext(t.Context())
	event := audit.AuditContextFrom(ctx)
	if err := event.Init(audit.RequestAuditConfig{Level: auditinternal.LevelMetadata}, nil); err != nil {
		t.Fatal(err)
	}
	warned := &warnings{}
	ctx = warning.WithWarningRecorder(ctx, warned)
	if wanted != nil {
		ctx = authenticator.WithAudiences(ctx, wanted)
	}
	response, ok, err := who.AuthenticateToken(ctx, compact)
	a := answer{OK: ok, Annotations: event.GetEventAnnotations(), Warnings: warned.texts, Marked: *marked}
	if err != nil {
		a.Error = err.Error()
	}
	if response != nil {
		u := response.User
		a.User = &user.DefaultInfo{Name: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: u.GetExtra()}
		a.Audiences = response.Audiences
	}
	return a
}

// both are the authenticators of Kubernetes and of Muster, and the secrets that each has marked since it was asked last.
type both struct {
	theirs, ours           authenticator.Token
	theirMarks, ourMarks   []string
	ourMetrics             metrics.KubeRegistry
	refused, let, notTheir int
}

func newBoth(t *testing.T, w *world) *both {
	t.Helper()
	b := &both{ourMetrics: metrics.NewKubeRegistry()}
	counters := authn.NewMetrics()
	if err := counters.Register(b.ourMetrics); err != nil {
		t.Fatal(err)
	}
	kubernetes.RegisterMetrics()
	apiAudiences := authenticator.Audiences{api, "api"}

	var keys []any
	var known []keyring.Key
	for _, key := range w.ring {
		keys = append(keys, key.private.Public())
		known = append(known, key.signer.Keys()...)
	}
	getter, err := kubernetes.StaticPublicKeysGetter(keys)
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := kubernetes.NewLegacyValidator(true, w, marker{&b.theirMarks})
	if err != nil {
		t.Fatal(err)
	}
	// The group of all who are authenticated is added behind them.
	b.theirs = group.NewTokenGroupAdder(union.New(
		kubernetes.JWTTokenAuthenticator([]string{kubernetes.LegacyIssuer}, getter, apiAudiences, legacy),
		kubernetes.JWTTokenAuthenticator([]string{api, other}, getter, apiAudiences, kubernetes.NewValidator(w)),
	), []string{user.AllAuthenticated})

	ring, err := keyring.NewRing(w.ring[0].signer, known[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	b.ours = authn.NewServiceAccounts(authn.ServiceAccounts{
		Issuers: []string{api, other}, Keys: keyring.New(ring), Objects: w.view, Fresh: live.Fresh{View: w.view},
		APIAudiences: apiAudiences, DeletionGrace: token.Leeway, Now: time.Now, Metrics: counters,
		LegacyUse: func(use authn.LegacyUse) { b.ourMarks = append(b.ourMarks, use.Namespace+"/"+use.Name+" "+use.Day) },
	})
	return b
}

func TestTokensAreCheckedAsByKubernetes(t *testing.T) {
	seed := *seeded
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, r)
	b := newBoth(t, w)
	for range shown {
		compact, wanted := w.token(t, r), w.audiences(r)
		b.compare(t, compact, wanted)
		if r.IntN(4) == 0 { // what was seen before
			b.compare(t, compact, w.audiences(r))
		}
	}
	want := counted(t, legacyregistry.DefaultGatherer)
	if diff := cmp.Diff(want, counted(t, b.ourMetrics)); diff != "" || len(want) < 6 {
		t.Errorf("of %d counters (-Kubernetes +Muster):\n%s", len(want), diff)
	}
	t.Logf("%d let in, %d refused, %d not theirs", b.let, b.refused, b.notTheir)
	if min(b.let, b.refused, b.notTheir) < shown/100 {
		t.Error("there were too few of one sort")
	}
}

// ask asks both in one second: what they say of stale tokens tells of seconds.
func (b *both) ask(t *testing.T, compact string, wanted authenticator.Audiences) (theirs, ours answer) {
	t.Helper()
	for {
		second := time.Now().Unix()
		theirs = ask(t, b.theirs, wanted, compact, &b.theirMarks)
		ours = ask(t, b.ours, wanted, compact, &b.ourMarks)
		if time.Now().Unix() == second {
			return theirs, ours
		}
	}
}

func (b *both) compare(t *testing.T, compact string, wanted authenticator.Audiences) {
	t.Helper()
	want, got := b.ask(t, compact, wanted)
	switch {
	case want.OK:
		b.let++
	case want.Error != "":
		b.refused++
	default:
		b.notTheir++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the token %s, wanted for %q (-Kubernetes +Muster):\n%s", readable(compact), wanted, diff)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// counted are the counters of service account tokens. Retries of ask count, at both.
func counted(t *testing.T, registry metrics.Gatherer) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "serviceaccount_") {
			counts[family.GetName()+": "+family.GetHelp()] = family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return counts
}

func (w *world) audiences(r *rand.Rand) authenticator.Audiences {
	lists := []authenticator.Audiences{nil, nil, {api}, {"api"}, {"vault"}, {"vault", api}, {"api", api}, {"api", "api"}, {other}}
	return slices.Clone(lists[r.IntN(len(lists))])
}
