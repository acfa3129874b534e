// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nodes asks the node authorizer of Kubernetes and that of Muster the same
// questions, and shows their plugins NodeRestriction the same writes. It stands apart because it takes much of Kubernetes to build.
package nodes

import (
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/kubernetes/pkg/auth/nodeidentifier"
	kubernetes "k8s.io/kubernetes/plugin/pkg/auth/authorizer/node"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"github.com/muster-identity/muster/authz/node"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/rbac/bootstrap"
)

// questions is how many random requests of nodes both are asked about, and how many
// writes they see.
const questions = 50_000

// bothNodeAuthorizers are that of Kubernetes and that of Muster, on the same pods.
func bothNodeAuthorizers(r *rand.Rand) (theirs, ours authorizer.Authorizer) {
	view := live.New(nil, nil)
	graph := node.NewGraph(view)
	view.FollowPods(graph.Move)
	upstream := kubernetes.NewGraph()
	for i := range 40 {
		pod := nodePod(r, i)
		view.Commit(schema.GroupResource{Resource: "pods"}, pod, false)
		if pod.Spec.NodeName != "" {
			upstream.AddPod(pod)
		}
		if r.IntN(4) == 0 {
			view.Commit(schema.GroupResource{Resource: "pods"}, pod, true)
			upstream.DeletePod(pod.Name, pod.Namespace)
		}
	}
	return kubernetes.NewAuthorizer(upstream, nodeidentifier.NewDefaultNodeIdentifier(), bootstrappolicy.NodeRules()),
		node.New(graph, bootstrap.NodeRules())
}

func oneOf(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

// nodePod is the ith pod, which no other is called like. It has references of a few sorts, by names that requests use, too.
func nodePod(r *rand.Rand, i int) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: []string{"a", "b"}[i%2], Name: fmt.Sprint("o", i/2), ResourceVersion: fmt.Sprint(2*i + 1)},
		Spec:       corev1.PodSpec{NodeName: oneOf(r, "", "n1", "n2", "n3"), ServiceAccountName: fmt.Sprint("o", r.IntN(20))},
	}
	if r.IntN(6) == 0 {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	}
	name := func() string { return fmt.Sprint("o", r.IntN(20)) }
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name()}}},
		{Name: "c", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name()}}}},
		{Name: "p", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name()}}},
	}
	claim := name()
	pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "r", ResourceClaimName: &claim}}
	return pod
}

func nodeQuestion(r *rand.Rand) authorizer.AttributesRecord {
	groups := []string{"system:nodes", "system:authenticated"}
	if r.IntN(20) == 0 {
		groups = groups[1:]
	}
	asked := authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: oneOf(r, "system:node:n1", "system:node:n1", "system:node:n2", "system:node:", "n1"), Groups: groups},
		Verb: oneOf(r, "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "sing"),
	}
	if r.IntN(50) == 0 {
		asked.Path = oneOf(r, "/healthz", "/metrics")
		return asked
	}
	asked.ResourceRequest = true
	resources := []schema.GroupResource{
		{Resource: "secrets"},
		{Resource: "configmaps"},
		{Resource: "pods"},
		{Resource: "nodes"},
		{Resource: "serviceaccounts"},
		{Resource: "services"},
		{Resource: "events"},
		{Resource: "endpoints"},
		{Resource: "persistentvolumeclaims"},
		{Resource: "persistentvolumes"},
		{Group: "events.k8s.io", Resource: "events"},
		{Group: "coordination.k8s.io", Resource: "leases"},
		{Group: "node.k8s.io", Resource: "runtimeclasses"},
		{Group: "authentication.k8s.io", Resource: "tokenreviews"},
		{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"},
		{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"},
		{Group: "storage.k8s.io", Resource: "csidrivers"},
		{Group: "storage.k8s.io", Resource: "csinodes"},
		{Group: "storage.k8s.io", Resource: "volumeattachments"},
		{Group: "resource.k8s.io", Resource: "resourceclaims"},
		{Group: "resource.k8s.io", Resource: "resourceslices"},
		{Group: "certificates.k8s.io", Resource: "certificatesigningrequests"},
		{Group: "certificates.k8s.io", Resource: "clustertrustbundles"},
		{Group: "certificates.k8s.io", Resource: "podcertificaterequests"},
		{Group: "apps", Resource: "deployments"},
	}
	resource := resources[r.IntN(len(resources))]
	asked.APIGroup, asked.Resource = resource.Group, resource.Resource
	asked.Subresource = oneOf(r, "", "", "", "status", "token", "eviction", "log")
	asked.Namespace = oneOf(r, "a", "b", "", "kube-node-lease")
	asked.Name = oneOf(r, "", "n1", "n2", fmt.Sprint("o", r.IntN(20)), fmt.Sprint("o", r.IntN(20)))
	if r.IntN(3) == 0 {
		asked.FieldSelectorRequirements = fields.Requirements{{
			Field: oneOf(r, "spec.nodeName", "metadata.name"), Operator: selection.Operator(oneOf(r, "=", "!=", "==")), Value: oneOf(r, "n1", "n2"),
		}}
	}
	return asked
}

func TestNodesAreAuthorizedAsByKubernetes(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	theirs, ours := bothNodeAuthorizers(r)
	allowed := 0
	for range questions {
		asked := nodeQuestion(r)
		want, wantReason, wantErr := theirs.Authorize(t.Context(), asked)
		got, reason, err := ours.Authorize(t.Context(), asked)
		if got != want || reason != wantReason || err != nil || wantErr != nil {
			t.Errorf("seed %d: %+v:\n Kubernetes: %v, %q, %v\n     Muster: %v, %q, %v", seed, asked, want, wantReason, wantErr, got, reason, err)
		}
		if want == authorizer.DecisionAllow {
			allowed++
		}
	}
	if allowed < questions/50 {
		t.Errorf("only %d of %d are allowed: the questions miss the point", allowed, questions)
	}
	t.Logf("%d of %d allowed", allowed, questions)
}
