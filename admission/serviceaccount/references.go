// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package serviceaccount

import (
	"fmt"
	"iter"

	corev1 "k8s.io/api/core/v1"
)

// reference is one place of a pod that names a secret.
type reference struct {
	// what names the place and the secret, as the refusal does.
	what string
	// secret is the name of the secret.
	secret string
	// pull is true for image pull secrets, which an account lists apart.
	pull bool
	// strict is true for a place that the rule of mountable secrets leaves out
	// in Kubernetes: projected volumes and the credentials of storage drivers.
	strict bool
}

// referencesOf lists the references of a pod in the order in which they are
// checked.
type referencesOf func(pod *corev1.Pod) iter.Seq[reference]

// mountableSecrets is the rule of an account that enforces them: as Kubernetes
// has it, or strict, as the page on service accounts has it, without a hole.
type mountableSecrets struct{ strict bool }

// check returns the first reference that the account does not allow. Only an
// account that is annotated so disallows any.
func (m mountableSecrets) check(account *corev1.ServiceAccount, references iter.Seq[reference]) error {
	if !enforcesMountableSecrets(account, m.strict) {
		return nil
	}
	secrets, pulls := map[string]bool{}, map[string]bool{}
	for _, secret := range account.Secrets {
		secrets[secret.Name] = true
	}
	for _, pull := range account.ImagePullSecrets {
		pulls[pull.Name] = true
	}
	for ref := range references {
		switch {
		case ref.strict && !m.strict:
		case ref.pull && !m.strict && !pulls[ref.secret]:
			return fmt.Errorf("%s is not allowed because service account %s does not reference that imagePullSecret", ref.what, account.Name)
		case (!ref.pull || m.strict) && !secrets[ref.secret]:
			return fmt.Errorf("%s is not allowed because service account %s does not reference that secret", ref.what, account.Name)
		}
	}
	return nil
}

// podReferences are those of a new pod: volumes, init containers, containers,
// image pull secrets.
func podReferences(pod *corev1.Pod) iter.Seq[reference] {
	return func(yield func(reference) bool) {
		for i := range pod.Spec.Volumes {
			source := pod.Spec.Volumes[i].Secret
			if source != nil && !yield(reference{what: "volume with " + named(source.SecretName), secret: source.SecretName}) {
				return
			}
			for _, name := range volumeSecrets(&pod.Spec.Volumes[i].VolumeSource) {
				what := fmt.Sprintf("volume %s referencing %s", pod.Spec.Volumes[i].Name, named(name))
				if !yield(reference{what: what, secret: name, strict: true}) {
					return
				}
			}
		}
		for i := range pod.Spec.InitContainers {
			if !yieldContainer("init container", &pod.Spec.InitContainers[i], yield) {
				return
			}
		}
		for i := range pod.Spec.Containers {
			if !yieldContainer("container", &pod.Spec.Containers[i], yield) {
				return
			}
		}
		for i, pull := range pod.Spec.ImagePullSecrets {
			if !yield(reference{what: fmt.Sprintf(`imagePullSecrets[%d].name="%s"`, i, pull.Name), secret: pull.Name, pull: true}) {
				return
			}
		}
	}
}

// ephemeralReferences are those of the ephemeral containers, the only ones that
// can be new in a pod that exists.
func ephemeralReferences(pod *corev1.Pod) iter.Seq[reference] {
	return func(yield func(reference) bool) {
		for i := range pod.Spec.EphemeralContainers {
			container := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
			if !yieldContainer("ephemeral container", &container, yield) {
				return
			}
		}
	}
}

// yieldContainer yields what a container's environment refers to.
func yieldContainer(kind string, container *corev1.Container, yield func(reference) bool) bool {
	for _, env := range container.Env {
		if env.ValueFrom == nil || env.ValueFrom.SecretKeyRef == nil {
			continue
		}
		name := env.ValueFrom.SecretKeyRef.Name
		what := fmt.Sprintf("%s %s with envVar %s referencing %s", kind, container.Name, env.Name, named(name))
		if !yield(reference{what: what, secret: name}) {
			return false
		}
	}
	for _, env := range container.EnvFrom {
		if env.SecretRef == nil {
			continue
		}
		what := fmt.Sprintf("%s %s with envFrom referencing %s", kind, container.Name, named(env.SecretRef.Name))
		if !yield(reference{what: what, secret: env.SecretRef.Name}) {
			return false
		}
	}
	return true
}

func named(secret string) string {
	return fmt.Sprintf(`secret.secretName="%s"`, secret)
}
