// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

// Source reads single objects from the store, consistently.
type Source interface {
	// Get returns the object as of the newest revision, or apierrors.NotFound.
	// namespace is empty for cluster-scoped resources.
	Get(ctx context.Context, resource schema.GroupResource, namespace, name string) (runtime.Object, error)
}

// Subscriber is told of each change of an object: the newest object, and
// whether it is gone. It is called before the write that made the change
// returns, in the order of the revisions for any one object, and must be quick.
// It must not change the object.
type Subscriber func(obj runtime.Object, deleted bool)

// The resources that a View keeps.
var (
	serviceAccounts = schema.GroupResource{Resource: "serviceaccounts"}
	pods            = schema.GroupResource{Resource: "pods"}
	secrets         = schema.GroupResource{Resource: "secrets"}
	nodes           = schema.GroupResource{Resource: "nodes"}
	namespaces      = schema.GroupResource{Resource: "namespaces"}
	revocations     = identityv1.Resource("tokenrevocations")

	podCertificateRequests = certificatesv1.Resource("podcertificaterequests")

	rbacResources = []string{"roles", "rolebindings", "clusterroles", "clusterrolebindings"}
)

// View is the live view of one replica. Its methods may be called from any
// goroutine.
type View struct {
	source Source
	feeds  map[schema.GroupResource]feed

	serviceAccounts *table[ServiceAccount]
	pods            *table[Pod]
	secrets         *table[Secret]
	nodes           *table[Node]
	namespaces      *table[Namespace]
	// podCertificateRequests have the names of the nodes that made them.
	podCertificateRequests *table[string]
	// webhooks is nil unless webhook configurations are kept.
	webhooks map[WebhookKind]*table[WebhookConfiguration]

	advances    advances
	revocations *Revocations
}

// feed is a table with the type of its values erased.
type feed interface {
	commitObject(obj runtime.Object, revision int64, deleted bool)
	confirmObject(obj runtime.Object)
	doubt(name types.NamespacedName)
	observeObject(obj runtime.Object, deleted bool)
	list() listing
	progress(revision int64)
	observedAt() int64
	onAdvance(told func())
}

// New makes an empty view that reads what it does not know from source. rbac is
// told of the changes of RBAC objects; nil for nobody.
func New(source Source, rbac Subscriber) *View {
	v := &View{
		source:          source,
		serviceAccounts: newTable[ServiceAccount](nil),
		pods:            newTable[Pod](nil),
		secrets:         newTable[Secret](nil),
		nodes:           newTable[Node](nil),
		namespaces:      newTable[Namespace](nil),
		revocations:     newRevocations(),

		podCertificateRequests: newTable[string](nil),
	}
	v.feeds = map[schema.GroupResource]feed{
		serviceAccounts: kind[ServiceAccount]{v.serviceAccounts, serviceAccountOf},
		pods:            kind[Pod]{v.pods, podOf},
		secrets:         kind[Secret]{v.secrets, secretOf},
		nodes:           kind[Node]{v.nodes, nodeOf},
		namespaces:      kind[Namespace]{v.namespaces, namespaceOf},
		revocations:     revocationKind{kind[Revocation]{newTable(v.revocations.apply), revocationOf}, v.revocations},

		podCertificateRequests: kind[string]{v.podCertificateRequests, requesterOf},
	}
	for _, resource := range rbacResources {
		v.feeds[schema.GroupResource{Group: "rbac.authorization.k8s.io", Resource: resource}] = kind[runtime.Object]{newTable(rbac), copyOf}
	}
	for _, f := range v.feeds {
		f.onAdvance(v.advances.announce)
	}
	return v
}

// Resources are those that the view keeps: each needs a Feed, and its writes
// need to be committed.
func (v *View) Resources() []schema.GroupResource {
	resources := make([]schema.GroupResource, 0, len(v.feeds))
	for resource := range v.feeds {
		resources = append(resources, resource)
	}
	return resources
}

// Commit takes a write that the store has accepted, before it is answered. The
// object carries the revision of the write in its resourceVersion. Objects of
// resources that the view does not keep are ignored.
func (v *View) Commit(resource schema.GroupResource, obj runtime.Object, deleted bool) {
	f, kept := v.feeds[resource]
	accessor, ok := obj.(metav1.Object)
	if !kept || !ok {
		return
	}
	f.commitObject(obj, revisionOf(accessor.GetResourceVersion()), deleted)
}

// Doubt takes note that a write of an object has failed, and may have taken
// effect all the same: its answer may have been lost. The object is read from
// the store when it is next needed. Objects of resources that the view does not
// keep are ignored.
func (v *View) Doubt(resource schema.GroupResource, namespace, name string) {
	if f, kept := v.feeds[resource]; kept {
		f.doubt(types.NamespacedName{Namespace: namespace, Name: name})
	}
}

// ServiceAccount returns the account, or apierrors.NotFound.
func (v *View) ServiceAccount(ctx context.Context, namespace, name string) (ServiceAccount, error) {
	return find(ctx, v, serviceAccounts, v.serviceAccounts, types.NamespacedName{Namespace: namespace, Name: name})
}

// Pod returns the pod, or apierrors.NotFound.
func (v *View) Pod(ctx context.Context, namespace, name string) (Pod, error) {
	return find(ctx, v, pods, v.pods, types.NamespacedName{Namespace: namespace, Name: name})
}

// NodeOf returns the node that a pod is bound to, or "" for a pod that is bound to
// none or that the view has not heard of. Anybody may make it be asked for any
// name: it does not look in the store.
func (v *View) NodeOf(namespace, name string) string {
	pod, ok := v.pods.get(types.NamespacedName{Namespace: namespace, Name: name})
	if !ok {
		return ""
	}
	return pod.NodeName
}

// NodeOfRequest returns the node that made a PodCertificateRequest, or "" for one
// that the view has not heard of. It does not look in the store, as NodeOf.
func (v *View) NodeOfRequest(namespace, name string) string {
	node, ok := v.podCertificateRequests.get(types.NamespacedName{Namespace: namespace, Name: name})
	if !ok {
		return ""
	}
	return node
}

// FollowPods has told hear of each change of a pod: what existed before and what
// exists now, nil for nothing. It is called as a Subscriber is. FollowPods is
// called before the first use of the view.
func (v *View) FollowPods(told func(was, is *Pod)) { v.pods.moved = told }

// Secret returns the secret, or apierrors.NotFound.
func (v *View) Secret(ctx context.Context, namespace, name string) (Secret, error) {
	return find(ctx, v, secrets, v.secrets, types.NamespacedName{Namespace: namespace, Name: name})
}

// KnownSecret returns the secret, or apierrors.NotFound. It is for those whom
// anybody may make ask for any name: unlike Secret, it does not look in the store
// for what the view has not heard of.
func (v *View) KnownSecret(ctx context.Context, namespace, name string) (Secret, error) {
	if !v.secrets.knows(types.NamespacedName{Namespace: namespace, Name: name}) {
		return Secret{}, apierrors.NewNotFound(secrets, name)
	}
	return v.Secret(ctx, namespace, name)
}

// Node returns the node, or apierrors.NotFound.
func (v *View) Node(ctx context.Context, name string) (Node, error) {
	return find(ctx, v, nodes, v.nodes, types.NamespacedName{Name: name})
}

// Namespace returns the namespace, or apierrors.NotFound.
func (v *View) Namespace(ctx context.Context, name string) (Namespace, error) {
	return find(ctx, v, namespaces, v.namespaces, types.NamespacedName{Name: name})
}

// Revocations are those of tokens. They are complete from the first list of
// their Feed on; until then a question waits.
func (v *View) Revocations() *Revocations { return v.revocations }

func find[T any](ctx context.Context, v *View, resource schema.GroupResource, t *table[T], name types.NamespacedName) (T, error) {
	if value, ok := t.get(name); ok {
		return value, nil
	}
	return readThrough(ctx, v, resource, t, name)
}

// readThrough reads an object from the store into the view. What the view says
// afterwards counts: the object may have been deleted since it was read.
func readThrough[T any](ctx context.Context, v *View, resource schema.GroupResource, t *table[T], name types.NamespacedName) (T, error) {
	var none T
	obj, err := v.source.Get(ctx, resource, name.Namespace, name.Name)
	if apierrors.IsNotFound(err) {
		return none, err
	}
	if err != nil {
		return none, fmt.Errorf("reading %s %q: %w", resource, name, err)
	}
	v.feeds[resource].confirmObject(obj)
	if value, ok := t.get(name); ok {
		return value, nil
	}
	return none, apierrors.NewNotFound(resource, name.Name)
}

// Fresh reads the same objects as a View, but asks the store for each. It is
// for those who hold a newer reference than the view may have yet: a token that
// names another UID than the view knows.
type Fresh struct{ View *View }

// ServiceAccount returns the account as of now, or apierrors.NotFound.
func (f Fresh) ServiceAccount(ctx context.Context, namespace, name string) (ServiceAccount, error) {
	return readThrough(ctx, f.View, serviceAccounts, f.View.serviceAccounts, types.NamespacedName{Namespace: namespace, Name: name})
}

// Pod returns the pod as of now, or apierrors.NotFound.
func (f Fresh) Pod(ctx context.Context, namespace, name string) (Pod, error) {
	return readThrough(ctx, f.View, pods, f.View.pods, types.NamespacedName{Namespace: namespace, Name: name})
}

// Secret returns the secret as of now, or apierrors.NotFound.
func (f Fresh) Secret(ctx context.Context, namespace, name string) (Secret, error) {
	return readThrough(ctx, f.View, secrets, f.View.secrets, types.NamespacedName{Namespace: namespace, Name: name})
}

// Node returns the node as of now, or apierrors.NotFound.
func (f Fresh) Node(ctx context.Context, name string) (Node, error) {
	return readThrough(ctx, f.View, nodes, f.View.nodes, types.NamespacedName{Name: name})
}
