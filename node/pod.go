// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// nameTries bounds how often a taken name is drawn again.
const nameTries = 8

// pod is the Pod that stands for the process on the server.
type pod struct {
	client corev1client.PodInterface
	object *corev1.Pod // as asked for; as created, with its UID, once the server has answered
}

// podObject describes the process as a Pod. Its arguments stay out of it: whoever may read Pods would read them.
func (p *Process) podObject(node string) *corev1.Pod {
	command := filepath.Base(p.Command)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   p.Namespace,
			Name:        p.PodName,
			Labels:      map[string]string{RunLabel: RunLabelValue},
			Annotations: map[string]string{sessionAnnotation: string(uuid.NewUUID())},
		},
		Spec: corev1.PodSpec{
			NodeName:           node,
			ServiceAccountName: p.ServiceAccount,
			RestartPolicy:      corev1.RestartPolicyNever,
			Containers:         []corev1.Container{{Name: labelOf(command, 63), Image: command}},
		},
	}
}

// create makes the Pod. Without a name of its own it is called after its container with five random characters,
// drawn here and not by the server: the annotation, and the Pod of a lost answer, are found by the name.
func (p *pod) create(ctx context.Context) error {
	want := p.object
	named := want.Name != ""
	for try := 1; ; try++ {
		if !named {
			want.Name = labelOf(want.Spec.Containers[0].Name, 57) + "-" + rand.String(5)
		}
		want.Annotations[LeaseAnnotation] = want.Name
		created, err := p.client.Create(ctx, want, metav1.CreateOptions{})
		if err == nil {
			p.object = created
			return nil
		}
		if named || !apierrors.IsAlreadyExists(err) || try == nameTries {
			return fmt.Errorf("creating pod: %w", err)
		}
	}
}

// end deletes the Pod at once, and no other of its name. A Pod that is gone is no error.
func (p *pod) end(ctx context.Context) error {
	uid := p.object.UID
	if uid == "" {
		uid = p.lookUp(ctx)
	}
	if uid == "" {
		return nil
	}
	err := insist(ctx, func() error {
		return p.client.Delete(ctx, p.object.Name, metav1.DeleteOptions{
			GracePeriodSeconds: new(int64),
			Preconditions:      metav1.NewUIDPreconditions(string(uid)),
		})
	})
	if err != nil {
		return fmt.Errorf("deleting pod %q: %w", p.object.Name, err)
	}
	return nil
}

// lookUp returns the UID of a Pod that was created although the answer to that never came, or "". It asks once:
// where the server cannot be reached, the missing Lease ends the Pod.
func (p *pod) lookUp(ctx context.Context) types.UID {
	found, err := p.client.Get(ctx, p.object.Name, metav1.GetOptions{})
	if err != nil || found.Annotations[sessionAnnotation] != p.object.Annotations[sessionAnnotation] {
		return ""
	}
	return found.UID
}

var notLabel = regexp.MustCompile(`[^a-z0-9-]+`)

// labelOf turns a command's name into an RFC 1123 label of at most max bytes.
func labelOf(name string, max int) string {
	label := strings.Trim(notLabel.ReplaceAllString(strings.ToLower(name), "-"), "-")
	label = strings.TrimRight(label[:min(len(label), max)], "-")
	if label == "" {
		return "process"
	}
	return label
}

// hostName names this machine as the kubelet names its node (Kubernetes: pkg/util/node/node.go).
func hostName() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("naming this machine: %w", err)
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return "", fmt.Errorf("naming this machine: its host name is empty")
	}
	return name, nil
}
