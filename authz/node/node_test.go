// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"sync"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/authz/node"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/rbac/bootstrap"
)

// world is a live view with a node authorizer that follows it.
type world struct {
	view       *live.View
	authorizer *node.Authorizer
	revision   int
}

func newWorld() *world {
	w := &world{view: live.New(nil, nil)}
	graph := node.NewGraph(w.view)
	w.view.FollowPods(graph.Move)
	w.authorizer = node.New(graph, bootstrap.NodeRules())
	return w
}

// commit brings a pod into force, or takes it out.
func (w *world) commit(pod *corev1.Pod, deleted bool) {
	w.revision++
	pod = pod.DeepCopy()
	pod.ResourceVersion = fmt.Sprint(w.revision)
	w.view.Commit(schema.GroupResource{Resource: "pods"}, pod, deleted)
}

// cart is a pod on n1 that refers to one thing of each kind.
func cart() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"},
		Spec: corev1.PodSpec{
			NodeName: "n1", ServiceAccountName: "cart",
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
			Containers: []corev1.Container{{Env: []corev1.EnvVar{{ValueFrom: &corev1.EnvVarSource{
				SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "env"}},
			}}}}},
			Volumes: []corev1.Volume{
				{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}},
				{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "disk"}}},
				{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}},
			},
			ResourceClaims: []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimName: new("card")}},
		},
	}
}

func nodeUser(name string) user.Info {
	return &user.DefaultInfo{Name: node.UserPrefix + name, Groups: []string{"system:nodes", "system:authenticated"}}
}

// ask is "verb group/resource[/subresource] name" in the namespace shop.
type ask struct{ verb, group, resource, subresource, name string }

func (w *world) decide(t testing.TB, u user.Info, a ask, selectors ...fields.Requirement) (bool, string) {
	t.Helper()
	decision, reason, err := w.authorizer.Authorize(t.Context(), authorizer.AttributesRecord{
		User: u, ResourceRequest: true, Verb: a.verb, APIGroup: a.group, Resource: a.resource, Subresource: a.subresource,
		Namespace: "shop", Name: a.name, FieldSelectorRequirements: selectors,
	})
	if err != nil || decision == authorizer.DecisionDeny {
		t.Fatalf("%v: %v, %v", a, decision, err)
	}
	return decision == authorizer.DecisionAllow, reason
}

// related are questions that only a pod on the node makes right.
var related = []ask{
	{"get", "", "pods", "", "cart"},
	{"list", "", "pods", "", "cart"},
	{"get", "", "serviceaccounts", "", "cart"},
	{"create", "", "serviceaccounts", "token", "cart"},
	{"get", "", "secrets", "", "pull"},
	{"watch", "", "secrets", "", "env"},
	{"list", "", "configmaps", "", "settings"},
	{"get", "", "persistentvolumeclaims", "", "disk"},
	{"patch", "", "persistentvolumeclaims", "status", "disk"},
	{"get", "", "persistentvolumeclaims", "", "cart-scratch"},
	{"get", "resource.k8s.io", "resourceclaims", "", "card"},
}

func TestANodeGetsAtWhatItsPodsReferToAsLongAsTheyAreThere(t *testing.T) {
	t.Parallel()
	w := newWorld()
	const refusal = "no relationship found between node 'n1' and this object"
	check := func(when string, u user.Info, want bool, refusal string) {
		t.Helper()
		for _, a := range related {
			got, reason := w.decide(t, u, a)
			if got != want || (!want && reason != refusal) || (want && reason != "") {
				t.Errorf("%s: %v: got %v, %q", when, a, got, reason)
			}
		}
	}
	check("without pods", nodeUser("n1"), false, refusal)
	w.commit(cart(), false)
	check("with its pod", nodeUser("n1"), true, "")
	check("with another's pod", nodeUser("n2"), false, "no relationship found between node 'n2' and this object")

	twin := cart()
	twin.Name = "twin"
	w.commit(twin, false)
	w.commit(twin, true)
	status := cart()
	status.Status.Phase = corev1.PodRunning
	w.commit(status, false)
	check("after a second pod has come and gone", nodeUser("n1"), true, "")

	moved := cart()
	moved.Spec.NodeName = "n2"
	w.commit(moved, false)
	check("when the pod is elsewhere", nodeUser("n1"), false, refusal)
	w.commit(moved, true)
	check("when the pod is gone", nodeUser("n2"), false, "no relationship found between node 'n2' and this object")
}

func TestAMirrorPodGivesItsNodeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	mirror := cart()
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	w.commit(mirror, false)
	for _, a := range related {
		if got, _ := w.decide(t, nodeUser("n1"), a); got != (a.resource == "pods") {
			t.Errorf("%v: %v", a, got)
		}
	}
}

func TestAPodWithoutANodeIsNobodys(t *testing.T) {
	t.Parallel()
	w := newWorld()
	unbound := cart()
	unbound.Spec.NodeName = ""
	w.commit(unbound, false)
	nameless := nodeUser("")
	for _, a := range related {
		if got, reason := w.decide(t, nameless, a); got || reason != `unknown node for user "system:node:"` {
			t.Errorf("%v: %v, %q", a, got, reason)
		}
	}
}

func TestANodeIsToldWhatItMayNotDo(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.commit(cart(), false)
	selecting := func(value string) fields.Requirement {
		return fields.Requirement{Field: "spec.nodeName", Operator: selection.Equals, Value: value}
	}
	const none = "no relationship found between node 'n1' and this object"
	for _, test := range []struct {
		ask     ask
		selects []fields.Requirement
		allowed bool
		reason  string
	}{
		{ask: ask{"list", "", "pods", "", ""}, reason: "can only list/watch pods with spec.nodeName field selector"},
		{ask: ask{"list", "", "pods", "", ""}, selects: []fields.Requirement{selecting("n2")}, reason: "can only list/watch pods with spec.nodeName field selector"},
		{ask: ask{"watch", "", "pods", "", ""}, selects: []fields.Requirement{selecting("n1")}, allowed: true},
		{ask: ask{"deletecollection", "", "pods", "", ""}, selects: []fields.Requirement{selecting("n1")}},
		{ask: ask{"get", "", "pods", "log", "cart"}},
		{ask: ask{"create", "", "pods", "", ""}, allowed: true}, // the rest is up to NodeRestriction
		{ask: ask{"delete", "", "pods", "", "cart"}, allowed: true},
		{ask: ask{"patch", "", "pods", "status", "cart"}, allowed: true},
		{ask: ask{"create", "", "pods", "eviction", "cart"}, allowed: true},
		{ask: ask{"update", "", "pods", "", "cart"}},
		{ask: ask{"list", "", "secrets", "", ""}, reason: "No Object name found"},
		{ask: ask{"update", "", "secrets", "", "pull"}, reason: "can only read resources of this type"},
		{ask: ask{"get", "", "secrets", "x", "pull"}, reason: "cannot read subresource"},
		{ask: ask{"get", "", "secrets", "", "other"}, reason: none},
		{ask: ask{"create", "", "serviceaccounts", "token", ""}, reason: "can only create tokens for individual service accounts"},
		{ask: ask{"delete", "", "serviceaccounts", "", "cart"}, reason: "can only create tokens for individual service accounts"},
		{ask: ask{"create", "", "serviceaccounts", "", "cart"}, reason: "can only create token subresource of serviceaccount"},
		{ask: ask{"create", "", "serviceaccounts", "token", "other"}, reason: none},
		{ask: ask{"get", "", "nodes", "", "n1"}, allowed: true},
		{ask: ask{"get", "", "nodes", "", "n2"}, reason: "node 'n1' cannot read 'n2', only its own Node object"},
		{ask: ask{"list", "", "nodes", "", ""}, reason: "node 'n1' cannot read all nodes, only its own Node object"},
		{ask: ask{"patch", "", "nodes", "status", "n1"}, allowed: true},
		{ask: ask{"delete", "", "nodes", "", "n1"}},
		{ask: ask{"get", "coordination.k8s.io", "leases", "", "n1"}, reason: `can only access leases in the "kube-node-lease" system namespace`},
		{ask: ask{"list", "coordination.k8s.io", "leases", "", ""}, reason: "can only get, create, update, patch, or delete a node lease"},
		{ask: ask{"create", "certificates.k8s.io", "podcertificaterequests", "", ""}, allowed: true},
		{ask: ask{"get", "certificates.k8s.io", "podcertificaterequests", "", "x"}, reason: none},
		{ask: ask{"list", "certificates.k8s.io", "podcertificaterequests", "", ""}, reason: "can only list/watch podcertificaterequests with nodeName field selector"},
		{ask: ask{"list", "certificates.k8s.io", "podcertificaterequests", "", ""}, selects: []fields.Requirement{selecting("n1")}, allowed: true},
		{ask: ask{"patch", "certificates.k8s.io", "podcertificaterequests", "", "x"}, reason: "nodes may not patch podcertificaterequests"},
		{ask: ask{"get", "certificates.k8s.io", "podcertificaterequests", "status", "x"}, reason: "nodes may not access the status subresource of PodCertificateRequests"},
		{ask: ask{"list", "certificates.k8s.io", "clustertrustbundles", "", ""}, allowed: true},
		{ask: ask{"list", "", "services", "", ""}, allowed: true},
		{ask: ask{"create", "", "services", "", ""}},
		{ask: ask{"get", "", "persistentvolumes", "", "pv"}, reason: none},
		{ask: ask{"list", "", "persistentvolumeclaims", "", ""}, reason: "can only get individual resources of this type"},
		{ask: ask{"get", "", "persistentvolumeclaims", "status", "disk"}, reason: "can only get/update/patch this type"},
		{ask: ask{"get", "storage.k8s.io", "csinodes", "", "n2"}, reason: "can only access CSINode with the same name as the requesting node"},
		{ask: ask{"create", "resource.k8s.io", "resourceslices", "", ""}, allowed: true},
		{ask: ask{"list", "resource.k8s.io", "resourceslices", "", ""}, reason: "can only list/watch/deletecollection resourceslices with nodeName field selector"},
	} {
		got, reason := w.decide(t, nodeUser("n1"), test.ask, test.selects...)
		if got != test.allowed || reason != test.reason {
			t.Errorf("%v %v: got %v, %q; want %v, %q", test.ask, test.selects, got, reason, test.allowed, test.reason)
		}
	}
}

func TestANodeKeepsItsOwnLease(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for name, want := range map[string]string{"n1": "", "n2": "can only access node lease with the same name as the requesting node"} {
		decision, reason, _ := w.authorizer.Authorize(t.Context(), authorizer.AttributesRecord{
			User: nodeUser("n1"), ResourceRequest: true, Verb: "update", APIGroup: "coordination.k8s.io", Resource: "leases",
			Namespace: "kube-node-lease", Name: name,
		})
		if (decision == authorizer.DecisionAllow) != (want == "") || reason != want {
			t.Errorf("%s: %v, %q", name, decision, reason)
		}
	}
}

func TestOnlyNodesAreNodes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.commit(cart(), false)
	for name, u := range map[string]user.Info{
		"not in the group": &user.DefaultInfo{Name: "system:node:n1", Groups: []string{"system:authenticated"}},
		"another name":     &user.DefaultInfo{Name: "system:nodes:n1", Groups: []string{"system:nodes"}},
		"a person":         &user.DefaultInfo{Name: "n1", Groups: []string{"system:nodes"}},
		"nobody":           nil,
	} {
		if got, reason := w.decide(t, u, related[0]); got || reason != "" {
			t.Errorf("%s: %v, %q", name, got, reason)
		}
		if _, _, incomplete, err := w.authorizer.RulesFor(t.Context(), u, "shop"); incomplete || err != nil {
			t.Errorf("%s: rules %v, %v", name, incomplete, err)
		}
	}
	_, _, incomplete, err := w.authorizer.RulesFor(t.Context(), nodeUser("n1"), "shop")
	if !incomplete || err == nil || err.Error() != "node authorizer does not support user rule resolution" {
		t.Errorf("rules of a node: %v, %v", incomplete, err)
	}
}

func TestPodsComeAndGoWhileNodesAsk(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 200 {
				w.decide(t, nodeUser("n1"), related[3])
			}
		})
	}
	for range 200 {
		w.commit(cart(), false)
		w.commit(cart(), true)
	}
	asking.Wait()
	if got, _ := w.decide(t, nodeUser("n1"), related[3]); got {
		t.Error("an edge is left of pods that are gone")
	}
}

// crowd is a world of many pods, a hundred on each node.
func crowd(pods int) *world {
	w := newWorld()
	for i := range pods {
		pod := cart()
		pod.Name, pod.Namespace, pod.Spec.NodeName = fmt.Sprint("cart-", i), fmt.Sprint("shop-", i%100), fmt.Sprint("n", i/100)
		w.commit(pod, false)
	}
	w.commit(cart(), false)
	return w
}

func TestADecisionForANodeCostsNoMemory(t *testing.T) {
	w := crowd(1000)
	attributes := &authorizer.AttributesRecord{User: nodeUser("n1"), ResourceRequest: true, Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: "shop", Name: "cart"}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if decision, _, _ := w.authorizer.Authorize(ctx, attributes); decision != authorizer.DecisionAllow {
			t.Fatal("refused")
		}
	}); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkAuthorize(b *testing.B) {
	for _, pods := range []int{100, 100_000} {
		b.Run(fmt.Sprint(pods), func(b *testing.B) {
			w := crowd(pods)
			attributes := &authorizer.AttributesRecord{User: nodeUser("n1"), ResourceRequest: true, Verb: "get", Resource: "secrets", Namespace: "shop", Name: "pull"}
			b.ReportAllocs()
			for b.Loop() {
				if decision, _, _ := w.authorizer.Authorize(b.Context(), attributes); decision != authorizer.DecisionAllow {
					b.Fatal("refused")
				}
			}
		})
	}
}

func TestANodeReadsTheCertificateRequestsThatItHasMade(t *testing.T) {
	t.Parallel()
	w := newWorld()
	request := &certificatesv1.PodCertificateRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "papers", ResourceVersion: "1"},
		Spec:       certificatesv1.PodCertificateRequestSpec{NodeName: "n1"},
	}
	may := func(name string) bool {
		decision, _, err := w.authorizer.Authorize(t.Context(), authorizer.AttributesRecord{
			User: &user.DefaultInfo{Name: "system:node:" + name, Groups: []string{user.NodesGroup}},
			Verb: "get", APIGroup: "certificates.k8s.io", Resource: "podcertificaterequests", Namespace: "shop", Name: "papers", ResourceRequest: true,
		})
		return err == nil && decision == authorizer.DecisionAllow
	}
	if may("n1") {
		t.Error("a node reads a request that nobody has made")
	}
	w.view.Commit(certificatesv1.Resource("podcertificaterequests"), request, false)
	if !may("n1") || may("n2") {
		t.Errorf("n1 reads its request: %v, n2 reads that of n1: %v", may("n1"), may("n2"))
	}
	request.ResourceVersion = "2"
	w.view.Commit(certificatesv1.Resource("podcertificaterequests"), request, true)
	if may("n1") {
		t.Error("a node reads a request that is gone")
	}
}
