// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/authentication/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/auth/nodeidentifier"
	kubernetes "k8s.io/kubernetes/plugin/pkg/admission/noderestriction"

	"github.com/muster-identity/muster/admission/noderestriction"
	"github.com/muster-identity/muster/live"
)

// granted lets everybody have tokens for one audience.
type granted struct{}

func (granted) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() == "request-serviceaccounts-token-audience" && a.GetResource() == "granted" {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", errors.New("some role is missing")
}

// nowhere is a store in which nothing is that the view does not know.
type nowhere struct{}

func (nowhere) Get(_ context.Context, resource schema.GroupResource, _, name string) (runtime.Object, error) {
	return nil, apierrors.NewNotFound(resource, name)
}

// bothRestrictions are the plugin of Kubernetes and that of Muster, on the same objects.
func bothRestrictions(t *testing.T) (theirs, ours admission.MutationInterface) {
	t.Helper()
	factory := informers.NewSharedInformerFactory(nil, 0)
	upstream := kubernetes.NewPlugin(nodeidentifier.NewDefaultNodeIdentifier())
	upstream.InspectFeatureGates(utilfeature.DefaultFeatureGate)
	upstream.SetExternalKubeInformerFactory(factory)
	upstream.SetUnconditionalAuthorizer(granted{})
	if err := upstream.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	view := live.New(nowhere{}, nil)
	for _, name := range []string{"n1", "n2"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), ResourceVersion: "1"}}
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "on-" + name, UID: types.UID("uid-" + name), ResourceVersion: "1"},
			Spec: corev1.PodSpec{NodeName: name, Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "mounted"}}, {ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}},
			}}}}}},
		}
		view.Commit(schema.GroupResource{Resource: "nodes"}, node, false)
		view.Commit(schema.GroupResource{Resource: "pods"}, pod, false)
		for _, err := range []error{factory.Core().V1().Nodes().Informer().GetIndexer().Add(node), factory.Core().V1().Pods().Informer().GetIndexer().Add(pod)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return upstream, noderestriction.New(view, granted{})
}

// nodeWrite is a random write of the node n1.
type nodeWrite struct {
	resource       schema.GroupVersionResource
	sub, name      string
	operation      admission.Operation
	object, before runtime.Object
}

func (w nodeWrite) attributes(object, before runtime.Object) admission.Attributes {
	namespace := "a"
	if w.resource.Resource == "leases" {
		namespace = "kube-node-lease"
	}
	who := &user.DefaultInfo{Name: "system:node:n1", Groups: []string{"system:nodes"}}
	return admission.NewAttributesRecord(object, before, schema.GroupVersionKind{Version: "v1", Kind: "Thing"}, namespace, w.name, w.resource, w.sub, w.operation, nil, false, who)
}

// internal is an object in the form that Kubernetes' plugins see.
func internal(t *testing.T, obj runtime.Object) runtime.Object {
	t.Helper()
	if obj == nil {
		return nil
	}
	converted, err := legacyscheme.Scheme.ConvertToVersion(obj.DeepCopyObject(), runtime.InternalGroupVersioner)
	if err != nil {
		t.Fatal(err)
	}
	return converted
}

func randomWrite(r *rand.Rand) nodeWrite {
	core := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Version: "v1", Resource: resource}
	}
	half := func() bool { return r.IntN(2) == 0 }
	most := func() bool { return r.IntN(6) > 0 }
	switch r.IntN(6) {
	case 0:
		request := &authenticationv1.TokenRequest{}
		for range r.IntN(3) {
			request.Spec.Audiences = append(request.Spec.Audiences, oneOf(r, "", "mounted", "granted", "other"))
		}
		if most() {
			request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
				APIVersion: oneOf(r, "v1", "v1", "v1", ""), Kind: oneOf(r, "Pod", "Pod", "Pod", "Secret"),
				Name: oneOf(r, "on-n1", "on-n1", "on-n2", "gone", ""), UID: types.UID(oneOf(r, "uid-n1", "uid-n1", "uid-n2", "")),
			}
		}
		return nodeWrite{core("serviceaccounts"), oneOf(r, "token", "token", ""), "x", admission.Create, request, nil}
	case 1:
		return nodeWrite{core("pods"), "", "x", admission.Create, randomMirror(r, most), nil}
	case 2:
		return nodeWrite{core("pods"), "", oneOf(r, "on-n1", "on-n2", "gone"), admission.Delete, nil, nil}
	case 3:
		old := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}, Spec: corev1.PodSpec{NodeName: oneOf(r, "n1", "n1", "n2")}}
		pod := old.DeepCopy()
		if half() {
			pod.Labels["a"] = "c"
		}
		if half() {
			pod.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "x"}}
		}
		return nodeWrite{core("pods"), oneOf(r, "status", "status", "ephemeralcontainers"), "x", admission.Update, pod, old}
	case 4:
		labels := func() map[string]string {
			some := map[string]string{}
			for range r.IntN(3) {
				some[oneOf(r, "x", "example.com/x", "kubernetes.io/hostname", "kubernetes.io/x", "a.k8s.io/x", "kubelet.kubernetes.io/x", "a.node.kubernetes.io/x",
					"node-restriction.kubernetes.io/x", "a.node-restriction.kubernetes.io/x", "beta.kubernetes.io/os", "topology.kubernetes.io/zone")] = oneOf(r, "1", "2")
			}
			return some
		}
		old, node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: labels()}}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: labels()}}
		if r.IntN(5) == 0 {
			node.Spec.Taints = []corev1.Taint{{Key: "t"}}
		}
		if r.IntN(5) == 0 {
			node.OwnerReferences = []metav1.OwnerReference{{Name: "x"}}
		}
		if half() {
			return nodeWrite{core("nodes"), "", oneOf(r, "n1", "n1", "n2"), admission.Create, node, nil}
		}
		return nodeWrite{core("nodes"), oneOf(r, "", "status"), "n1", admission.Update, node, old}
	default:
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: oneOf(r, "n1", "n2")}}
		operation := admission.Operation(oneOf(r, "CREATE", "UPDATE"))
		return nodeWrite{coordinationv1.SchemeGroupVersion.WithResource("leases"), "", oneOf(r, "n1", "n2"), operation, lease, lease}
	}
}

// randomMirror is a pod of a node that is right in most ways.
func randomMirror(r *rand.Rand, most func() bool) *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: oneOf(r, "n1", "n1", "n1", "n2")}}
	if most() {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	}
	yes, no := true, false
	if most() {
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: oneOf(r, "Node", "Node", "Node", "Pod"), Name: oneOf(r, "n1", "n1", "n1", "n2"), UID: types.UID(oneOf(r, "uid-n1", "uid-n1", "x")),
			Controller: []*bool{&yes, &yes, &yes, nil}[r.IntN(4)], BlockOwnerDeletion: []*bool{nil, nil, &no, &yes}[r.IntN(4)],
		}}
	}
	if !most() {
		pod.Spec.ServiceAccountName = "x"
	}
	if !most() {
		pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "x"}}
	}
	sources := []corev1.VolumeSource{
		{HostPath: &corev1.HostPathVolumeSource{}},
		{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		{ConfigMap: &corev1.ConfigMapVolumeSource{}},
		{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "x"}}},
		{Secret: &corev1.SecretVolumeSource{}},
		{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "x"}},
		{CSI: &corev1.CSIVolumeSource{Driver: "x"}},
		{Ephemeral: &corev1.EphemeralVolumeSource{}},
		{AzureFile: &corev1.AzureFileVolumeSource{}},
		{Glusterfs: &corev1.GlusterfsVolumeSource{}},
		{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{DownwardAPI: &corev1.DownwardAPIProjection{}}}}},
		{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}}}}},
		{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{}}}}},
		{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{PodCertificate: &corev1.PodCertificateProjection{}}}}},
		{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{}}}},
		{},
	}
	for range r.IntN(2) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "v", VolumeSource: sources[r.IntN(len(sources))]})
	}
	return pod
}

func TestNodesAreRestrictedAsByKubernetes(t *testing.T) {
	t.Parallel()
	theirs, ours := bothRestrictions(t)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	passed := 0
	for range questions {
		w := randomWrite(r)
		want := theirs.Admit(t.Context(), w.attributes(internal(t, w.object), internal(t, w.before)), nil)
		got := ours.Admit(t.Context(), w.attributes(w.object, w.before), nil)
		if (got == nil) != (want == nil) || got != nil && (got.Error() != want.Error() || apierrors.ReasonForError(got) != apierrors.ReasonForError(want)) {
			t.Errorf("seed %d: %s %v/%s %q:\n%+v\n Kubernetes: %v\n     Muster: %v", seed, w.operation, w.resource, w.sub, w.name, w.object, want, got)
		}
		if want == nil {
			passed++
		}
	}
	if passed < questions/50 {
		t.Errorf("only %d of %d pass: the questions miss the point", passed, questions)
	}
	t.Logf("%d of %d pass", passed, questions)
}
