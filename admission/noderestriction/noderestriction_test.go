// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package noderestriction

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/live"
)

// world has the pod cart on n1, till on n2, static on n1, and knows no others.
type world struct{ broken error }

func (w world) Pod(_ context.Context, namespace, name string) (live.Pod, error) {
	pods := map[string]live.Pod{
		"cart": {NodeName: "n1", ServiceAccount: "cart", References: []live.Reference{
			{Kind: live.AudienceReference, Name: "vault"}, {Kind: live.AudienceReference}, {Kind: live.SignerReference, Name: "example.com/own"},
		}},
		"till":   {NodeName: "n2", ServiceAccount: "till"},
		"static": {NodeName: "n1", Mirror: true},
	}
	pod, ok := pods[name]
	if w.broken != nil || !ok || namespace != "shop" {
		return live.Pod{}, w.missing("pods", name)
	}
	pod.UID = "pod-1"
	return pod, nil
}

func (w world) Node(_ context.Context, name string) (live.Node, error) {
	if w.broken != nil || name != "n1" {
		return live.Node{}, w.missing("nodes", name)
	}
	return live.Node{Meta: live.Meta{UID: "node-1"}}, nil
}

func (w world) ServiceAccount(_ context.Context, _, name string) (live.ServiceAccount, error) {
	if w.broken != nil || name != "cart" {
		return live.ServiceAccount{}, w.missing("serviceaccounts", name)
	}
	return live.ServiceAccount{Meta: live.Meta{UID: "account-1"}}, nil
}

func (w world) missing(resource, name string) error {
	if w.broken != nil {
		return w.broken
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: resource}, name)
}

// granter allows what is asked for on one resource, and fails for another.
type granter struct{ asked *authorizer.AttributesRecord }

func (g granter) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	*g.asked = a.(authorizer.AttributesRecord)
	switch a.GetResource() {
	case "bank", "example.com:bank":
		return authorizer.DecisionAllow, "", errors.New("some role is missing")
	case "broken":
		return authorizer.DecisionNoOpinion, "", errors.New("some role is missing")
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// write is a request of a node. The zero operation is a creation.
type write struct {
	resource, sub, name string
	operation           admission.Operation
	object, old         runtime.Object
}

func (w write) by(u user.Info) admission.Attributes {
	resource := schema.GroupVersionResource{Version: "v1", Resource: w.resource}
	if group, name, ok := strings.Cut(w.resource, "/"); ok {
		resource.Group, resource.Resource = group, name
	}
	if w.operation == "" {
		w.operation = admission.Create
	}
	namespace := "shop"
	if w.resource == "coordination.k8s.io/leases" {
		namespace = "kube-node-lease"
	}
	return admission.NewAttributesRecord(w.object, w.old, schema.GroupVersionKind{Version: "v1", Kind: "Thing"}, namespace, w.name, resource, w.sub, w.operation, nil, false, u)
}

func nodeUser(name string) user.Info {
	return &user.DefaultInfo{Name: "system:node:" + name, Groups: []string{"system:nodes"}}
}

func admit(t *testing.T, w write) error {
	t.Helper()
	return New(world{}, granter{new(authorizer.AttributesRecord)}).Admit(t.Context(), w.by(nodeUser("n1")), nil)
}

// refusals checks that a write of n1 passes ("") or is refused with a text.
type refusals map[string]struct {
	write write
	want  string
}

func (rs refusals) check(t *testing.T) {
	t.Helper()
	for name, r := range rs {
		err := admit(t, r.write)
		switch {
		case r.want == "" && err != nil:
			t.Errorf("%s: refused: %v", name, err)
		case r.want != "" && (!apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), r.want)):
			t.Errorf("%s:\n got %v\nwant a refusal: %s", name, err, r.want)
		}
	}
}

func TestTokensAreForTheNodesOwnPodsAndTheirAudiences(t *testing.T) {
	t.Parallel()
	token := func(change func(*authenticationv1.TokenRequestSpec)) write {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "cart", UID: "pod-1"},
		}}
		change(&request.Spec)
		return write{resource: "serviceaccounts", sub: "token", name: "cart", object: request}
	}
	audiences := func(audiences ...string) write {
		return token(func(s *authenticationv1.TokenRequestSpec) { s.Audiences = audiences })
	}
	ref := func(change func(*authenticationv1.BoundObjectReference)) write {
		return token(func(s *authenticationv1.TokenRequestSpec) { change(s.BoundObjectRef) })
	}
	const unbound = "node requested token not bound to a pod"
	refusals{
		"the API's":            {audiences(), ""},
		"the pod's":            {audiences("vault"), ""},
		"one that is granted":  {audiences("bank"), ""},
		"another":              {audiences("club"), `system:node:n1 is not authorized to request tokens for audience "club"`},
		"one that fails":       {audiences("broken"), `error authorizing system:node:n1 to request tokens for audience "broken": some role is missing`},
		"two":                  {audiences("vault", ""), "node may only request 0 or 1 audiences"},
		"no object":            {token(func(s *authenticationv1.TokenRequestSpec) { s.BoundObjectRef = nil }), unbound},
		"a secret":             {ref(func(r *authenticationv1.BoundObjectReference) { r.Kind = "Secret" }), unbound},
		"a node":               {ref(func(r *authenticationv1.BoundObjectReference) { r.Kind = "Node" }), unbound},
		"no version":           {ref(func(r *authenticationv1.BoundObjectReference) { r.APIVersion = "" }), unbound},
		"no name":              {ref(func(r *authenticationv1.BoundObjectReference) { r.Name = "" }), unbound},
		"no uid":               {ref(func(r *authenticationv1.BoundObjectReference) { r.UID = "" }), "node requested token with a pod binding without a uid"},
		"an earlier pod":       {ref(func(r *authenticationv1.BoundObjectReference) { r.UID = "pod-0" }), "the UID in the bound object reference (pod-0) does not match the UID in record. The object might have been deleted and then recreated"},
		"another node's":       {ref(func(r *authenticationv1.BoundObjectReference) { r.Name = "till" }), "node requested token bound to a pod scheduled on a different node"},
		"no token at all":      {write{resource: "serviceaccounts", sub: "token", object: &corev1.Pod{}}, "unexpected type *v1.Pod"},
		"the account, updated": {write{resource: "serviceaccounts", operation: admission.Update, object: &corev1.ServiceAccount{}}, ""},
	}.check(t)
	if err := admit(t, ref(func(r *authenticationv1.BoundObjectReference) { r.Name = "gone" })); !apierrors.IsNotFound(err) {
		t.Errorf("a pod that does not exist: %v", err)
	}
}

func TestTheAuthorizerIsAskedAboutTheAudienceAndTheAccount(t *testing.T) {
	t.Parallel()
	asked := new(authorizer.AttributesRecord)
	request := write{resource: "serviceaccounts", sub: "token", name: "cart", object: &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{"bank"}, BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "cart", UID: "pod-1"},
	}}}
	if err := New(world{}, granter{asked}).Admit(t.Context(), request.by(nodeUser("n1")), nil); err != nil {
		t.Fatal(err)
	}
	asked.User = nil
	want := authorizer.AttributesRecord{Verb: "request-serviceaccounts-token-audience", APIVersion: "v1", Resource: "bank", Namespace: "shop", Name: "cart", ResourceRequest: true}
	if got := *asked; got.Verb != want.Verb || got.APIVersion != want.APIVersion || got.Resource != want.Resource || got.Namespace != want.Namespace || got.Name != want.Name || !got.ResourceRequest {
		t.Errorf("asked %+v, want %+v", got, want)
	}
}

func TestANodeShowsItsOwnPodsAndTheyReferToNothing(t *testing.T) {
	t.Parallel()
	mirror := func(change func(*corev1.Pod)) write {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Annotations:     map[string]string{corev1.MirrorPodAnnotationKey: "x"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n1", UID: "node-1", Controller: new(true)}},
			},
			Spec: corev1.PodSpec{NodeName: "n1", Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}}}},
		}
		change(pod)
		return write{resource: "pods", object: pod}
	}
	owner := func(change func(*metav1.OwnerReference)) write {
		return mirror(func(p *corev1.Pod) { change(&p.OwnerReferences[0]) })
	}
	volume := func(source corev1.VolumeSource) write {
		return mirror(func(p *corev1.Pod) { p.Spec.Volumes[0].VolumeSource = source })
	}
	projected := func(source corev1.VolumeProjection) write {
		return volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{source}}})
	}
	const cannot = `node "n1" can not create pods that reference `
	const needsOwner = `node "n1" can only create pods with an owner reference set to itself`
	refusals{
		"a mirror pod":        {mirror(func(*corev1.Pod) {}), ""},
		"no mirror pod":       {mirror(func(p *corev1.Pod) { p.Annotations = nil }), `pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods`},
		"elsewhere":           {mirror(func(p *corev1.Pod) { p.Spec.NodeName = "n2" }), `node "n1" can only create pods with spec.nodeName set to itself`},
		"without owner":       {mirror(func(p *corev1.Pod) { p.OwnerReferences = nil }), needsOwner},
		"with two owners":     {mirror(func(p *corev1.Pod) { p.OwnerReferences = append(p.OwnerReferences, p.OwnerReferences[0]) }), `node "n1" can only create pods with a single owner reference set to itself`},
		"of another node":     {owner(func(o *metav1.OwnerReference) { o.Name = "n2" }), needsOwner},
		"not controlled":      {owner(func(o *metav1.OwnerReference) { o.Controller = nil }), `node "n1" can only create pods with a controller owner reference set to itself`},
		"blocking":            {owner(func(o *metav1.OwnerReference) { o.BlockOwnerDeletion = new(true) }), `node "n1" must not set blockOwnerDeletion on an owner reference`},
		"of an earlier node":  {owner(func(o *metav1.OwnerReference) { o.UID = "node-0" }), "node n1 UID mismatch: expected node-0 got node-1"},
		"with an account":     {mirror(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "cart" }), cannot + "serviceaccounts"},
		"with a pull secret":  {mirror(func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "s"}} }), cannot + "secrets"},
		"with a resource":     {mirror(func(p *corev1.Pod) { p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "c"}} }), cannot + "resourceclaims"},
		"with a config":       {volume(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}), cannot + "configmaps (via configmap volumes)"},
		"with a claim":        {volume(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}), cannot + "persistentvolumeclaims"},
		"with a driver":       {volume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{}}), cannot + "csidrivers (via CSI volumes)"},
		"with a token":        {projected(corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}}), cannot + "serviceaccounts (via projected volumes)"},
		"with trust":          {projected(corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{}}), cannot + "clustertrustbundles"},
		"with a certificate":  {projected(corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{}}), cannot + "podcertificates"},
		"with its fields":     {projected(corev1.VolumeProjection{DownwardAPI: &corev1.DownwardAPIProjection{}}), ""},
		"with something new":  {projected(corev1.VolumeProjection{}), `error checking mirror pod for API references: unknown source for projected volume "v"`},
		"with something else": {volume(corev1.VolumeSource{}), `error checking mirror pod for API references: unknown volume type for volume  "v"`},
		"no pod":              {write{resource: "pods", object: &corev1.Node{}}, "unexpected type *v1.Node"},
		"changed":             {write{resource: "pods", operation: admission.Update, object: &corev1.Pod{}}, `unexpected operation "UPDATE", node "n1" can only create and delete mirror pods`},
		"another part":        {write{resource: "pods", sub: "ephemeralcontainers", operation: admission.Update}, `unexpected pod subresource "ephemeralcontainers", only 'status' and 'eviction' are allowed`},
		"deleted":             {write{resource: "pods", name: "cart", operation: admission.Delete}, ""},
		"another's, deleted":  {write{resource: "pods", name: "till", operation: admission.Delete}, `node "n1" can only delete pods with spec.nodeName set to itself`},
		"evicted":             {write{resource: "pods", sub: "eviction", name: "cart", object: &policyv1.Eviction{}}, ""},
		"another's, evicted":  {write{resource: "pods", sub: "eviction", object: &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "till"}}}, "node n1 can only evict pods with spec.nodeName set to itself"},
		"nobody, evicted":     {write{resource: "pods", sub: "eviction", object: &policyv1.Eviction{}}, "could not determine pod from request data"},
	}.check(t)
	if err := admit(t, write{resource: "pods", name: "gone", operation: admission.Delete}); !apierrors.IsNotFound(err) {
		t.Errorf("a pod that does not exist: %v", err)
	}
}

func TestANodeReportsTheStatusOfItsPodsAndNothingElse(t *testing.T) {
	t.Parallel()
	status := func(node string, change func(*corev1.Pod)) write {
		old := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}, Spec: corev1.PodSpec{NodeName: node}}
		pod := old.DeepCopy()
		change(pod)
		return write{resource: "pods", sub: "status", operation: admission.Update, object: pod, old: old}
	}
	refusals{
		"its phase":    {status("n1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }), ""},
		"of another":   {status("n2", func(*corev1.Pod) {}), `node "n1" can only update pod status for pods with spec.nodeName set to itself`},
		"its labels":   {status("n1", func(p *corev1.Pod) { p.Labels["a"] = "c" }), `node "n1" cannot update labels through pod status`},
		"its claims":   {status("n1", func(p *corev1.Pod) { p.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "x"}} }), `node "n1" cannot update resource claim statues`},
		"more claims":  {status("n1", func(p *corev1.Pod) { p.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{} }), `node "n1" cannot update extended resource claim status`},
		"not a change": {write{resource: "pods", sub: "status"}, `unexpected operation "CREATE"`},
	}.check(t)
}

func TestANodeWritesItselfWithinLimits(t *testing.T) {
	t.Parallel()
	create := func(change func(*corev1.Node)) write {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
		change(node)
		return write{resource: "nodes", name: "n1", object: node}
	}
	update := func(change func(*corev1.Node)) write {
		old := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"kubernetes.io/role": "x"}}, Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "t"}}}}
		node := old.DeepCopy()
		change(node)
		return write{resource: "nodes", name: "n1", operation: admission.Update, object: node, old: old}
	}
	label := func(keys ...string) func(*corev1.Node) {
		return func(n *corev1.Node) {
			n.Labels = map[string]string{"kubernetes.io/role": "x"}
			for _, key := range keys {
				n.Labels[key] = "v"
			}
		}
	}
	bare := func(keys ...string) func(*corev1.Node) {
		return func(n *corev1.Node) { label(keys...)(n); delete(n.Labels, "kubernetes.io/role") }
	}
	refusals{
		"itself":             {create(bare("plain", "example.com/x", "kubernetes.io/hostname", "kubernetes.io/os", "topology.kubernetes.io/zone", "beta.kubernetes.io/arch", "a.kubelet.kubernetes.io/x", "node.kubernetes.io/y")), ""},
		"with others' words": {create(bare("z.node-restriction.kubernetes.io/x", "foo.k8s.io/x", "kubernetes.io/x")), `node "n1" is not allowed to set the following labels: foo.k8s.io/x, kubernetes.io/x, z.node-restriction.kubernetes.io/x`},
		"with a source":      {create(withSource), `node "n1" is not allowed to create pods with a non-nil configSource`},
		"another":            {write{resource: "nodes", name: "n2", object: &corev1.Node{}}, `node "n1" is not allowed to modify node "n2"`},
		"another's status":   {write{resource: "nodes", name: "n2", sub: "status", operation: admission.Update}, `node "n1" is not allowed to modify node "n2"`},
		"no node":            {write{resource: "nodes", name: "n1", object: &corev1.Pod{}}, "unexpected type *v1.Pod"},
		"a label":            {update(label("example.com/x")), ""},
		"a role":             {update(func(n *corev1.Node) { n.Labels = nil }), "is not allowed to modify labels: kubernetes.io/role"},
		"its taints":         {update(func(n *corev1.Node) { n.Spec.Taints = nil }), `node "n1" is not allowed to modify taints`},
		"its owners":         {update(func(n *corev1.Node) { n.OwnerReferences = []metav1.OwnerReference{{}} }), `node "n1" is not allowed to modify ownerReferences`},
		"its source":         {update(withSource), `node "n1" is not allowed to update configSource to a new non-nil configSource`},
	}.check(t)
}

func withSource(n *corev1.Node) {
	n.Spec.ConfigSource = &corev1.NodeConfigSource{} //lint:ignore SA1019 this is what is refused
}

func TestANodeKeepsItsOwnLeaseAndCSINode(t *testing.T) {
	t.Parallel()
	const lease = "can only access node lease with the same name as the requesting node"
	const csi = "can only access CSINode with the same name as the requesting node"
	named := func(name string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	refusals{
		"its lease":        {write{resource: "coordination.k8s.io/leases", object: named("n1")}, ""},
		"another's":        {write{resource: "coordination.k8s.io/leases", name: "n1", object: named("n2")}, lease},
		"renewed":          {write{resource: "coordination.k8s.io/leases", name: "n1", operation: admission.Update}, ""},
		"another, renewed": {write{resource: "coordination.k8s.io/leases", name: "n2", operation: admission.Update}, lease},
		"its CSINode":      {write{resource: "storage.k8s.io/csinodes", object: &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}}, ""},
		"another CSINode":  {write{resource: "storage.k8s.io/csinodes", object: &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}}, csi},
		"deleted":          {write{resource: "storage.k8s.io/csinodes", name: "n2", operation: admission.Delete}, csi},
		"what is open":     {write{resource: "events", object: &corev1.Event{}}, ""},
	}.check(t)
}

func TestANodeAsksForCertificatesInItsOwnName(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr := func(signer, name string) write {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
		if err != nil {
			t.Fatal(err)
		}
		return write{resource: "certificates.k8s.io/certificatesigningrequests", object: &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: signer, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		}}}
	}
	nonsense := csr(certificatesv1.KubeletServingSignerName, "x")
	nonsense.object.(*certificatesv1.CertificateSigningRequest).Spec.Request = []byte("x")
	const own = "can only create a node CSR with CN=system:node:n1"
	refusals{
		"serving":        {csr(certificatesv1.KubeletServingSignerName, "system:node:n1"), ""},
		"client":         {csr(certificatesv1.KubeAPIServerClientKubeletSignerName, "system:node:n1"), ""},
		"another node's": {csr(certificatesv1.KubeAPIServerClientKubeletSignerName, "system:node:n2"), own},
		"a person's":     {csr(certificatesv1.KubeletServingSignerName, "ann"), own},
		"other signers":  {csr("example.com/x", "ann"), ""},
		"nonsense":       {nonsense, "unable to parse csr: PEM block type must be CERTIFICATE REQUEST"},
	}.check(t)
}

func TestANodeAsksForCertificatesOfItsOwnPods(t *testing.T) {
	t.Parallel()
	request := func(change func(*certificatesv1.PodCertificateRequestSpec)) write {
		r := &certificatesv1.PodCertificateRequest{Spec: certificatesv1.PodCertificateRequestSpec{
			SignerName: "example.com/own", PodName: "cart", PodUID: "pod-1", ServiceAccountName: "cart", ServiceAccountUID: "account-1", NodeName: "n1", NodeUID: "node-1",
		}}
		change(&r.Spec)
		return write{resource: "certificates.k8s.io/podcertificaterequests", object: r}
	}
	type spec = certificatesv1.PodCertificateRequestSpec
	refusals{
		"its pod's":          {request(func(*spec) {}), ""},
		"a signer by a role": {request(func(s *spec) { s.SignerName = "example.com/bank" }), ""},
		"another signer":     {request(func(s *spec) { s.SignerName = "example.com/club" }), `pod "shop/cart" does not mount a podCertificate projected volume for signer "example.com/club"`},
		"another node":       {request(func(s *spec) { s.NodeName = "n2" }), `PodCertificateRequest.Spec.NodeName="n2", which is not the requesting node "n1"`},
		"another node's pod": {request(func(s *spec) { s.PodName = "till" }), `pod "shop/till" is not running on node "n1" named in the PodCertificateRequest`},
		"a mirror pod":       {request(func(s *spec) { s.PodName = "static" }), `pod "shop/static" is a mirror pod`},
		"another account":    {request(func(s *spec) { s.ServiceAccountName = "till" }), `PodCertificateRequest for pod "shop/cart" contains serviceAccountName ("till") that differs from running pod ("cart")`},
		"a change":           {write{resource: "certificates.k8s.io/podcertificaterequests", operation: admission.Update}, "unexpected operation UPDATE"},
		"a part":             {write{resource: "certificates.k8s.io/podcertificaterequests", sub: "status"}, "unexpected subresource status"},
	}.check(t)
	// What another look may set right is no refusal.
	for want, w := range map[string]write{
		`PodCertificateRequest for pod "shop/cart" names node UID "x", inconsistent with the running node ("node-1")`:                           request(func(s *spec) { s.NodeUID = "x" }),
		`PodCertificateRequest for pod "shop/cart" contains pod UID ("x") which differs from running pod "pod-1"`:                               request(func(s *spec) { s.PodUID = "x" }),
		`PodCertificateRequest for pod "shop/cart" names service account UID "x", which differs from the running service account ("account-1")`: request(func(s *spec) { s.ServiceAccountUID = "x" }),
		`while retrieving pod "shop/gone" named in the PodCertificateRequest: pod "gone" not found`:                                             request(func(s *spec) { s.PodName = "gone" }),
	} {
		if err := admit(t, w); err == nil || apierrors.IsForbidden(err) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestWhatCannotBeLookedUpIsRefused(t *testing.T) {
	t.Parallel()
	plugin := New(world{broken: errors.New("no store")}, granter{new(authorizer.AttributesRecord)})
	token := write{resource: "serviceaccounts", sub: "token", object: &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "cart", UID: "pod-1"},
	}}}
	for _, w := range []write{token, {resource: "pods", name: "cart", operation: admission.Delete}} {
		if err := plugin.Admit(t.Context(), w.by(nodeUser("n1")), nil); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", w.resource, err)
		}
	}
}

func TestWhoIsNoNodeIsNotRestricted(t *testing.T) {
	t.Parallel()
	plugin := New(world{}, granter{new(authorizer.AttributesRecord)})
	w := write{resource: "nodes", name: "n2", object: &corev1.Node{}}
	if err := plugin.Admit(t.Context(), w.by(&user.DefaultInfo{Name: "system:node:n1"}), nil); err != nil {
		t.Error(err)
	}
	err := plugin.Admit(t.Context(), w.by(nodeUser("")), nil)
	if !apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), `could not determine node from user "system:node:"`) {
		t.Errorf("a node without a name: %v", err)
	}
}
