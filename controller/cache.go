// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"net/http"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

// Kinds of which only the metadata is cached.
var (
	namespaceKind      = corev1.SchemeGroupVersion.WithKind("Namespace")
	podKind            = corev1.SchemeGroupVersion.WithKind("Pod")
	serviceAccountKind = corev1.SchemeGroupVersion.WithKind("ServiceAccount")
)

// metadataOf is an empty object whose kind is known and whose body is not wanted.
func metadataOf(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	return object
}

// cacheOptions says what is kept in memory: of each kind no more objects than a
// controller looks at. Reading another kind through the cache is an error, lest
// a whole kind be watched by accident.
func cacheOptions() cache.Options {
	return cache.Options{
		ReaderFailOnMissingInformer: true,
		DefaultTransform:            cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.ServiceAccount{}: {Transform: bareMetadata},
			&corev1.Secret{}: {
				Field:     fields.OneTermEqualSelector("type", string(corev1.SecretTypeServiceAccountToken)),
				Transform: withoutToken(),
			},
			&corev1.ConfigMap{}: {
				Field:     fields.OneTermEqualSelector(metav1.ObjectNameField, rootCAConfigMap),
				Transform: shareBundle(),
			},
			&corev1.Service{}: {
				Namespaces: map[string]cache.Config{metav1.NamespaceDefault: {}},
				Field:      fields.OneTermEqualSelector(metav1.ObjectNameField, kubernetesService),
			},
			&corev1.Pod{}:                 {Label: runSelector()},
			&coordinationv1.Lease{}:       {Label: runSelector()},
			&identityv1.TokenRevocation{}: {},

			&admissionregistrationv1.ValidatingAdmissionPolicy{}: {},

			&certificatesv1.CertificateSigningRequest{}: {},
			&certificatesv1.PodCertificateRequest{}:     {Transform: withoutSpec},
			&certificatesv1.ClusterTrustBundle{}:        {Field: fields.OneTermEqualSelector("spec.signerName", servingSigner)},
		},
	}
}

// runSelector picks the pods and leases of processes: only these are watched.
func runSelector() labels.Selector {
	return labels.SelectorFromSet(labels.Set{RunLabel: RunLabelValue})
}

// shareBundle keeps one copy of the bundle however many namespaces hold it.
func shareBundle() func(any) (any, error) {
	bundle, strip := &shared[string]{}, cache.TransformStripManagedFields()
	return func(object any) (any, error) {
		if config, ok := object.(*corev1.ConfigMap); ok {
			if rootCA, ok := config.Data[rootCAKey]; ok {
				config.Data[rootCAKey] = bundle.of(rootCA)
			}
		}
		return strip(object)
	}
}

// shared keeps one copy of what many objects hold, as long as they come one after
// the other.
type shared[T ~string | ~[]byte] struct{ last atomic.Pointer[T] }

// of is value, or the copy of it that there is.
func (s *shared[T]) of(value T) T {
	if last := s.last.Load(); last != nil && string(*last) == string(value) {
		return *last
	}
	s.last.Store(&value)
	return value
}

// bareMetadata keeps of an object no more than which one it is: there are many.
func bareMetadata(object any) (any, error) {
	if accessor, ok := object.(metav1.Object); ok {
		accessor.SetLabels(nil)
		accessor.SetAnnotations(nil)
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

// ownCache is one beside the shared cache, for objects of a kind of which that has
// others. It lives as long as the manager.
func ownCache(m manager.Manager, config *rest.Config, object client.Object, what cache.ByObject) (cache.Cache, error) {
	mapper, err := staticMapper(nil, nil)
	if err != nil {
		return nil, err
	}
	own, err := cache.New(config, cache.Options{
		Mapper: mapper, DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{object: what},
	})
	if err != nil {
		return nil, err
	}
	return own, m.Add(own)
}

// withoutSpec keeps of a request for the certificate of a pod no more than how old
// it is.
func withoutSpec(object any) (any, error) {
	if request, ok := object.(*certificatesv1.PodCertificateRequest); ok {
		request.Spec, request.Status = certificatesv1.PodCertificateRequestSpec{}, certificatesv1.PodCertificateRequestStatus{}
		request.ManagedFields = nil
	}
	return object, nil
}

// kinds are the types that controllers deal with.
func kinds() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, identityv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering the types of the controllers: %w", err)
		}
	}
	return scheme, nil
}

// staticMapper knows the resources of the kinds that controllers deal with.
func staticMapper(*rest.Config, *http.Client) (meta.RESTMapper, error) {
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"ConfigMap", "Pod", "Secret", "Service", "ServiceAccount"} {
		mapper.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	mapper.Add(coordinationv1.SchemeGroupVersion.WithKind("Lease"), meta.RESTScopeNamespace)
	mapper.Add(identityv1.SchemeGroupVersion.WithKind("TokenRevocation"), meta.RESTScopeRoot)
	mapper.Add(certificatesv1.SchemeGroupVersion.WithKind("PodCertificateRequest"), meta.RESTScopeNamespace)
	for _, kind := range []string{"CertificateSigningRequest", "ClusterTrustBundle"} {
		mapper.Add(certificatesv1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	mapper.Add(admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicy"), meta.RESTScopeRoot)
	mapper.Add(authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview"), meta.RESTScopeRoot)
	mapper.Add(namespaceKind, meta.RESTScopeRoot)
	mapper.Add(rbacv1.SchemeGroupVersion.WithKind("ClusterRole"), meta.RESTScopeRoot)
	return mapper, nil
}

// onlyDeletes lets the ends of objects through.
func onlyDeletes() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}
