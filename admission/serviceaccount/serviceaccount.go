// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package serviceaccount is the admission plugin that gives each pod its
// identity: it names the service account, sees that it exists, mounts its token
// and hands on its image pull secrets, and it holds pods to the secrets of an
// account that says so. The server room puts it in the chain before the plugins
// that limit nodes.
//
// It only writes what a pod asks for. Tokens are made later, by the room issuer,
// when a node asks for what is mounted here. Kubernetes:
// plugin/pkg/admission/serviceaccount/admission.go.
package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/storage/names"
)

// Name is what the plugin is called in flags, as in Kubernetes.
const Name = "ServiceAccount"

// defaultAccount is the account of pods that name none.
const defaultAccount = "default"

// Plugin is the admission plugin. Make one with New.
type Plugin struct {
	*admission.Handler
	// Strict makes an account that enforces its mountable secrets do so in every
	// place where a pod can name a secret, and for image pull secrets by the
	// same list; Kubernetes leaves some out. It is set before the first use.
	Strict bool

	lookup lookup
	// generateName appends a random suffix to the name of the token volume.
	generateName func(base string) string
}

var (
	_ admission.MutationInterface   = &Plugin{}
	_ admission.ValidationInterface = &Plugin{}
)

// New makes a plugin that finds service accounts in accounts.
func New(accounts Accounts) *Plugin {
	return &Plugin{
		Handler:      admission.NewHandler(admission.Create, admission.Update),
		lookup:       lookup{accounts: accounts, pause: retryPause},
		generateName: names.SimpleNameGenerator.GenerateName,
	}
}

// Admit completes a new pod by its service account. A mirror pod is left as it
// is: the kubelet would not recognise it as its own. What Validate would refuse is
// refused here already, before the pod's fields are validated.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod := podOf(a)
	if pod == nil || a.GetOperation() != admission.Create {
		return nil
	}
	if isMirror(pod) {
		return forbid(a, checkMirror(pod))
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultAccount
		// The deprecated alias is kept equal, as the defaults of a pod do.
		pod.Spec.DeprecatedServiceAccount = defaultAccount
	}
	account, err := p.accountOf(ctx, a, pod)
	if err != nil {
		return err
	}
	if automounts(account, pod) {
		mountToken(pod, p.generateName)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 && len(account.ImagePullSecrets) > 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	return forbid(a, p.rule().check(account, podReferences(pod)))
}

// Validate refuses a pod that refers to what it may not. It sees the pod as it
// will be stored, after every plugin that changes pods.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod := podOf(a)
	if pod == nil {
		return nil
	}
	ephemeral := a.GetSubresource() == "ephemeralcontainers"
	switch {
	case a.GetOperation() == admission.Update && ephemeral:
		return p.limit(ctx, a, pod, ephemeralReferences)
	case a.GetOperation() != admission.Create:
		return nil
	case isMirror(pod):
		return forbid(a, checkMirror(pod))
	}
	return p.limit(ctx, a, pod, podReferences)
}

// limit sees that the account exists and, where it asks for that, that the pod
// names no secrets but its own.
func (p *Plugin) limit(ctx context.Context, a admission.Attributes, pod *corev1.Pod, references referencesOf) error {
	if pod.Spec.ServiceAccountName == "" {
		return forbid(a, fmt.Errorf("no service account specified for pod %s/%s", a.GetNamespace(), pod.Name))
	}
	account, err := p.accountOf(ctx, a, pod)
	if err != nil {
		return err
	}
	return forbid(a, p.rule().check(account, references(pod)))
}

func (p *Plugin) rule() mountableSecrets { return mountableSecrets{strict: p.Strict} }

func (p *Plugin) accountOf(ctx context.Context, a admission.Attributes, pod *corev1.Pod) (*corev1.ServiceAccount, error) {
	account, err := p.lookup.account(ctx, a.GetNamespace(), pod.Spec.ServiceAccountName)
	if err != nil {
		return nil, forbid(a, fmt.Errorf("error looking up service account %s/%s: %w", a.GetNamespace(), pod.Spec.ServiceAccountName, err))
	}
	return account, nil
}

// forbid makes a refusal of err, and nothing of nil.
func forbid(a admission.Attributes, err error) error {
	if err == nil {
		return nil
	}
	return admission.NewForbidden(a, err)
}

// podOf is the pod that the request is about, or nil when it is about another
// thing or about a side of a pod that has nothing to do with its identity.
func podOf(a admission.Attributes) *corev1.Pod {
	if a.GetResource().GroupResource() != corev1.Resource("pods") {
		return nil
	}
	if a.GetSubresource() != "" && a.GetSubresource() != "ephemeralcontainers" {
		return nil
	}
	pod, _ := a.GetObject().(*corev1.Pod)
	return pod
}

// isMirror tells a pod that a kubelet runs from a file and only shows here.
func isMirror(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}

// checkMirror refuses a mirror pod that wants something of the server's: it was
// not created by anybody who was asked.
func checkMirror(pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return errors.New("a mirror pod may not reference service accounts")
	}
	if refersToSecrets(pod) {
		return errors.New("a mirror pod may not reference secrets")
	}
	for i := range pod.Spec.Volumes {
		projected := pod.Spec.Volumes[i].Projected
		if projected == nil {
			continue
		}
		for _, source := range projected.Sources {
			if source.ServiceAccountToken != nil {
				return errors.New("a mirror pod may not use ServiceAccountToken volume projections")
			}
		}
	}
	return nil
}
