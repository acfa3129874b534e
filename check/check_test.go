// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/muster-identity/muster/check"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

// event is one of the pod of a name and its UID, by account dev/robot.
func event(change func(*auditv1.Event)) *auditv1.Event {
	e := &auditv1.Event{
		RequestReceivedTimestamp: metav1.NewMicroTime(now.Add(-time.Hour)),
		User:                     authenticationv1.UserInfo{Username: "system:serviceaccount:dev:robot"},
		UserAgent:                "robot/1.0 (linux/amd64)", SourceIPs: []string{"192.0.2.7"},
	}
	change(e)
	return e
}

func fromPod(name string) func(*auditv1.Event) {
	return func(e *auditv1.Event) {
		e.User.Extra = map[string]authenticationv1.ExtraValue{
			"authentication.kubernetes.io/pod-name": {name}, "authentication.kubernetes.io/pod-uid": {"uid-" + name},
		}
	}
}

func annotated(key, value string) func(*auditv1.Event) {
	return func(e *auditv1.Event) { e.Annotations = map[string]string{key: value} }
}

func uses(events ...*auditv1.Event) *check.Uses {
	u := check.NewUses()
	for _, e := range events {
		u.Add(e)
	}
	return u
}

// found are the findings of one check, in words: object, since, finding.
func found(report *check.Report, of string) []string {
	var all []string
	for _, f := range report.Findings {
		if f.Check != of {
			continue
		}
		at := "-"
		if f.Since != nil {
			at = f.Since.UTC().Format("01-02T15:04")
		}
		all = append(all, fmt.Sprintf("%s %s: %s", f.Object, at, f.Says))
	}
	return all
}

func wantFound(t *testing.T, report *check.Report, of string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, found(report, of)); diff != "" {
		t.Errorf("findings of %s (-want +got):\n%s", of, diff)
	}
}

func pod(name string, change func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: before(30 * time.Minute)},
		Spec: corev1.PodSpec{ServiceAccountName: "robot", Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{
			Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}}}},
		}}}},
	}
	change(&p)
	return p
}

func asItIs(*corev1.Pod) {}

func TestATokenIsUnusedIfNothingInTheLogShowsIt(t *testing.T) {
	t.Parallel()
	reviewed := event(func(e *auditv1.Event) {
		e.ObjectRef = &auditv1.ObjectReference{Resource: "tokenreviews"}
		e.ResponseObject = &runtime.Unknown{Raw: []byte(`{"status":{"user":{"extra":{"authentication.kubernetes.io/pod-uid":["uid-shown"]}}}}`)}
	})
	state := &check.State{Pods: []corev1.Pod{
		pod("idle", asItIs), pod("busy", asItIs), pod("shown", asItIs),
		pod("old", func(p *corev1.Pod) { p.CreationTimestamp = before(48 * time.Hour) }),
		pod("again", func(p *corev1.Pod) { p.UID = "another" }),
		pod("ended", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		pod("tokenless", func(p *corev1.Pod) { p.Spec.Volumes = nil }),
		pod("elsewhere", func(p *corev1.Pod) { p.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.Audience = "vault" }),
	}}
	log := uses(event(fromPod("busy")), event(fromPod("again")), reviewed)
	wantFound(
		t, check.Run(state, log, now), check.UnusedToken,
		"pod/idle -n dev 11-25T11:30: has a token of account robot and has not used it",
		"pod/old -n dev 11-25T11:00: has a token of account robot and has not used it since the log begins",
		"pod/again -n dev 11-25T11:30: has a token of account robot and has not used it",
	)
	without := check.Run(state, nil, now)
	wantFound(t, without, check.UnusedToken)
	if want := []check.Omission{{check.UnusedToken, "it takes an audit log to tell: --audit-log FILE"}}; !cmp.Equal(want, without.Omissions) {
		t.Errorf("without a log it is said that %v", without.Omissions)
	}
}

func TestAStaleTokenIsFoundWithItsHolderAndTheDayItEnds(t *testing.T) {
	t.Parallel()
	const stale = "authentication.k8s.io/stale-token"
	// Used an hour ago, 300 days after it should have been renewed; and, of the same pod, a younger one.
	old := event(fromPod("worker"))
	annotated(stale, "subject: system:serviceaccount:dev:robot, seconds after warning threshold: 25920000")(old)
	young := event(fromPod("worker"))
	annotated(stale, "subject: system:serviceaccount:dev:robot, seconds after warning threshold: 60")(young)
	podless := event(annotated(stale, "subject: system:serviceaccount:dev:other, seconds after warning threshold: 60"))
	odd := event(annotated(stale, "subject: jane, seconds after warning threshold: 60"))
	report := check.Run(&check.State{StaleTokens: 4}, uses(young, old, podless, odd), now)
	wantFound(
		t, report, check.StaleToken,
		"serviceaccount/other -n dev 11-25T10:59: uses a token of account other that should have been renewed on 2026-11-25 and is refused from 2027-11-25 on, in 364 days",
		"pod/worker -n dev 01-29T11:00: uses a token of account robot that should have been renewed on 2026-01-29 and is refused from 2027-01-29 on, in 64 days",
	)
	wantFound(
		t, check.Run(&check.State{Server: "https://muster.example:6443", StaleTokens: 4}, nil, now), check.StaleToken,
		"server/muster.example:6443 -: 4 requests since its start came with tokens that should have been renewed, and will be refused when these are a year old",
	)
	wantFound(t, check.Run(&check.State{}, nil, now), check.StaleToken)
}

func TestALegacyTokenIsFoundOnceItIsUsed(t *testing.T) {
	t.Parallel()
	secret := func(name string, labels map[string]string) metav1.PartialObjectMetadata {
		return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: "dev", Name: name, Labels: labels, CreationTimestamp: before(24 * time.Hour),
			Annotations: map[string]string{"kubernetes.io/service-account.name": "robot"},
		}}
	}
	const lastUsed = "kubernetes.io/legacy-token-last-used"
	state := &check.State{TokenSecrets: []metav1.PartialObjectMetadata{
		secret("used", map[string]string{lastUsed: "2026-11-24"}),
		secret("idle", nil),
		secret("refused", map[string]string{lastUsed: "2025-01-01", "kubernetes.io/legacy-token-invalid-since": "2026-02-01"}),
	}}
	log := uses(
		event(func(e *auditv1.Event) { // nobody is who shows a token that is refused
			annotated("authentication.k8s.io/legacy-token-invalidated", "refused/dev")(e)
			e.User, e.UserAgent = authenticationv1.UserInfo{}, "old/0.1"
		}),
		event(annotated("authentication.k8s.io/legacy-token-manual-secret", "used")),
		event(func(e *auditv1.Event) {
			annotated("authentication.k8s.io/legacy-token-autogenerated-secret", "used")(e)
			e.UserAgent, e.RequestReceivedTimestamp = "curl/8", metav1.NewMicroTime(now.Add(-2*time.Hour))
		}),
	)
	wantFound(
		t, check.Run(state, log, now), check.LegacyToken,
		"secret/used -n dev 11-24T12:00: a token without an end of account robot, last used on 2026-11-24; in the log since 2026-11-25T10:00:00Z, by curl/8 at 192.0.2.7, robot/1.0 at 192.0.2.7",
		"secret/refused -n dev 11-24T12:00: a token without an end of account robot, last used on 2025-01-01, refused since 2026-02-01; in the log since 2026-11-25T11:00:00Z, by old/0.1 at 192.0.2.7",
	)
}

func TestAnAccountIsFoundByItsAnnotation(t *testing.T) {
	t.Parallel()
	account := func(name, value string) corev1.ServiceAccount {
		return corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Namespace: "dev", Name: name, Annotations: map[string]string{"kubernetes.io/enforce-mountable-secrets": value}, CreationTimestamp: before(0),
		}}
	}
	state := &check.State{Accounts: []corev1.ServiceAccount{account("held", "true"), account("not", "maybe"), {}}}
	wantFound(
		t, check.Run(state, nil, now), check.MountableSecrets,
		`serviceaccount/held -n dev 11-25T12:00: kubernetes.io/enforce-mountable-secrets="true" is deprecated`,
		`serviceaccount/not -n dev 11-25T12:00: kubernetes.io/enforce-mountable-secrets="maybe" is deprecated, and with this value of no effect`,
	)
}

func TestANamespaceIsStuckIfSomethingIsLeftOrItTakesLong(t *testing.T) {
	t.Parallel()
	namespace := func(name string, deleted time.Duration, conditions ...corev1.NamespaceCondition) corev1.Namespace {
		at := before(deleted)
		return corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: name, DeletionTimestamp: &at},
			Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}},
			Status:     corev1.NamespaceStatus{Conditions: conditions},
		}
	}
	state := &check.State{Namespaces: []corev1.Namespace{
		{ObjectMeta: metav1.ObjectMeta{Name: "alive"}},
		namespace("soon", time.Second),
		namespace("held", time.Second, corev1.NamespaceCondition{Status: corev1.ConditionTrue, Message: "left: a"}, corev1.NamespaceCondition{Status: corev1.ConditionFalse, Message: "fine"}),
		namespace("forgotten", time.Hour),
	}}
	wantFound(
		t, check.Run(state, nil, now), check.StuckNamespace,
		"namespace/held 11-25T11:59: is being deleted: left: a",
		"namespace/forgotten 11-25T11:00: is being deleted: its conditions do not say what is left: does a namespace controller run?; it waits for [kubernetes]",
	)
}
