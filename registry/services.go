// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	apiserverstorage "k8s.io/apiserver/pkg/storage"
)

// services are records of cluster services: each has its address and its ports,
// and is found by who asks; nothing here routes traffic to it.
func services() Resource {
	releasing := &releasingStorage{}
	return &Definition[*corev1.Service]{
		GroupVersion: corev1.SchemeGroupVersion,
		Kind:         "Service", Plural: "services", Singular: "service",
		ShortNames: []string{"svc"},
		Categories: []string{"all"},
		New:        func() *corev1.Service { return &corev1.Service{} },
		NewList:    func() runtime.Object { return &corev1.ServiceList{} },
		Default:    defaultService,
		// Since Kubernetes 1.37 a name may begin with a digit.
		Name: validation.NameIsDNSLabel,
		PrepareUpdate: func(_ context.Context, service, old *corev1.Service) {
			dropForeignFields(service, old)
		},
		// Creation is checked by Extend's strategy: what was valid when an old
		// service was stored is not asked of it again.
		ValidateUpdate: validateServiceUpdate,
		Warnings:       serviceWarnings,
		Status:         serviceStatus(),
		Fields: func(service *corev1.Service) fields.Set {
			return fields.Set{"spec.clusterIP": service.Spec.ClusterIP, "spec.type": string(service.Spec.Type)}
		},
		Columns:        serviceColumns(),
		Row:            serviceRow,
		CreateOnUpdate: true,
		Prefix:         "services/specs",
		ValidateCreate: validateNewService,
		ReturnDeleted:  true,
		Wrap: func(store apiserverstorage.Interface) apiserverstorage.Interface {
			releasing.Interface = store
			return releasing
		},
		Extend: func(env Environment, store *genericregistry.Store, storage map[string]rest.Storage) error {
			return extendServices(releasing, env, store, storage)
		},
	}
}

func serviceStatus() *StatusDefinition[*corev1.Service] {
	return &StatusDefinition[*corev1.Service]{
		Prepare: func(_ context.Context, service, old *corev1.Service) { service.Spec = old.Spec },
		Reset: func(service, old *corev1.Service) {
			service.Status = corev1.ServiceStatus{}
			if old != nil {
				service.Status = old.Status
			}
		},
		Validate: validateServiceStatus,
	}
}

// extendServices connects the storage of services with the ranges that they are
// given from. releasing stands around it already.
func extendServices(releasing *releasingStorage, env Environment, store *genericregistry.Store, storage map[string]rest.Storage) error {
	ranges, destroy, err := newServiceRanges(env, store)
	if err != nil {
		return err
	}
	destroyStore := store.DestroyFunc
	store.DestroyFunc = func() {
		destroyStore()
		destroy()
	}
	releasing.ranges = ranges
	store.Decorator = ranges.completeRead
	// The status claims nothing: its storage goes without the hooks below.
	storage["services/status"] = newStatusStorage(store, newStatusStrategy(store.UpdateStrategy.(*strategy[*corev1.Service])))
	store.BeginCreate = ranges.beginCreate
	store.BeginUpdate = ranges.beginUpdate
	storage["services"] = &serviceREST{named: storage["services"].(*named)}
	return nil
}

// newServiceRanges opens the two ranges. destroy closes their storage.
func newServiceRanges(env Environment, services *genericregistry.Store) (ranges *serviceRanges, destroy func(), err error) {
	prefix, ports := env.Services.ClusterIPRange, env.Services.NodePortRange
	if prefix == (netip.Prefix{}) {
		prefix = defaultClusterIPRange()
	}
	if ports.Size == 0 {
		ports = defaultNodePorts()
	}
	ips, err := newClusterIPs(prefix)
	if err != nil {
		return nil, nil, err
	}
	ranges = &serviceRanges{ips: ips, ports: newNodePorts(ports)}
	closeIPs, err := ranges.open(env, services, ranges.ips.storedRange, "serviceipallocations")
	if err != nil {
		return nil, nil, err
	}
	closePorts, err := ranges.open(env, services, ranges.ports.storedRange, "servicenodeportallocations")
	if err != nil {
		closeIPs()
		return nil, nil, err
	}
	return ranges, func() { closeIPs(); closePorts() }, nil
}

// open connects a range with the store. The bitmaps are read and written only
// here, so they need no watch cache.
func (s *serviceRanges) open(env Environment, services *genericregistry.Store, r *storedRange, resource string) (func(), error) {
	options, err := env.RESTOptions.GetRESTOptions(schema.GroupResource{Resource: resource}, &corev1.RangeAllocation{})
	if err != nil {
		return nil, fmt.Errorf("options of %s: %w", resource, err)
	}
	store, destroy, err := generic.NewRawStorage(options.StorageConfig, nil, nil, r.key)
	if err != nil {
		return nil, fmt.Errorf("storage of %s: %w", resource, err)
	}
	r.storage, r.now = store, time.Now
	r.inUse = func(ctx context.Context) ([]int, error) { return s.inUse(ctx, services, r) }
	return destroy, nil
}

// inUse lists the items of r that stored services have, in all namespaces.
func (s *serviceRanges) inUse(ctx context.Context, services *genericregistry.Store, r *storedRange) ([]int, error) {
	ctx = genericapirequest.WithNamespace(ctx, metav1.NamespaceAll)
	list, err := services.ListPredicate(ctx, apiserverstorage.Everything, nil)
	if err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	var items []int
	for i := range list.(*corev1.ServiceList).Items {
		for _, claim := range s.claimsOf(&list.(*corev1.ServiceList).Items[i]) {
			if claim.from == r {
				items = append(items, claim.item)
			}
		}
	}
	return items, nil
}

// beginCreate gives a new service its address and ports, before it is validated.
func (s *serviceRanges) beginCreate(ctx context.Context, obj runtime.Object, _ *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
	claims, err := beginTry(ctx)
	if err != nil {
		return nil, err
	}
	service := obj.(*corev1.Service)
	mirrorClusterIP(service)
	return finishElsewhere, s.giveNew(ctx, claims, service)
}

// beginUpdate does the same for a changed service.
func (s *serviceRanges) beginUpdate(ctx context.Context, obj, existing runtime.Object, _ *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
	claims, err := beginTry(ctx)
	if err != nil {
		return nil, err
	}
	service, old := obj.(*corev1.Service), existing.(*corev1.Service)
	s.completeService(old)
	keepGiven(service, old)
	mirrorChangedClusterIP(service, old)
	return finishElsewhere, s.giveChanged(ctx, claims, service, old)
}

// finishElsewhere is the end of a try: serviceREST settles all of them when the
// outcome is known, which the generic store cannot tell for an update.
func finishElsewhere(context.Context, bool) {}
