// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// kubernetesService names the service, in the namespace default, by which clients
// inside find the server.
const kubernetesService = "kubernetes"

// EnsureKubernetesService makes the service default/kubernetes if it is missing:
// port 443 of ip leads to port. One that exists is led to the port; the rest of it
// is left as it is. The server calls this, after EnsureSystemNamespaces, before it
// says that it is ready (Kubernetes: pkg/controlplane/controller/kubernetesservice).
func EnsureKubernetesService(ctx context.Context, c client.Client, ip netip.Addr, port int) error {
	wanted := kubernetesServiceAt(ip, port)
	// Replicas that start together may each lead it to a port.
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { return ensureKubernetesService(ctx, c, wanted) })
	if err != nil {
		return fmt.Errorf("ensuring service %q: %w", kubernetesService, err)
	}
	return nil
}

func ensureKubernetesService(ctx context.Context, c client.Client, wanted *corev1.Service) error {
	existing := &corev1.Service{}
	err := c.Get(ctx, client.ObjectKeyFromObject(wanted), existing)
	if apierrors.IsNotFound(err) {
		return createKubernetesService(ctx, c, wanted)
	}
	if err != nil || slices.Equal(existing.Spec.Ports, wanted.Spec.Ports) {
		return err
	}
	existing.Spec.Ports = wanted.Spec.Ports
	return c.Update(ctx, existing)
}

// createKubernetesService creates the service unless somebody else is faster:
// another replica, or the controller of this one. The loser may be told that the
// address is taken, rather than the name, and that before the winner's service
// can be read: an address is taken first.
func createKubernetesService(ctx context.Context, c client.Client, wanted *corev1.Service) error {
	err := c.Create(ctx, wanted)
	if err == nil || apierrors.IsAlreadyExists(err) {
		return nil
	}
	if !apierrors.IsInvalid(err) {
		return err
	}
	appeared := wait.PollUntilContextTimeout(ctx, conflictPause, winnersTime, true, func(ctx context.Context) (bool, error) {
		return c.Get(ctx, client.ObjectKeyFromObject(wanted), &corev1.Service{}) == nil, nil
	})
	if appeared != nil {
		return err
	}
	return nil
}

// winnersTime is for how long whoever has taken the address may take to store
// the service.
const winnersTime = 5 * time.Second

func kubernetesServiceAt(ip netip.Addr, port int) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: kubernetesService,
			Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			Type:            corev1.ServiceTypeClusterIP,
			ClusterIP:       ip.String(),
			ClusterIPs:      []string{ip.String()},
			SessionAffinity: corev1.ServiceAffinityNone,
			Ports: []corev1.ServicePort{{
				Name: "https", Protocol: corev1.ProtocolTCP, Port: 443, TargetPort: intstr.FromInt32(int32(port)),
			}},
		},
	}
}

// kubernetesServices makes the service again when it is gone.
type kubernetesServices struct {
	client client.Client
	ip     netip.Addr
	port   int
}

func newKubernetesService(c client.Client, ip netip.Addr, port int) *kubernetesServices {
	return &kubernetesServices{client: c, ip: ip, port: port}
}

func (k *kubernetesServices) register(m manager.Manager) error {
	name := types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: kubernetesService}
	return watching(m, "kubernetes-service", 1).
		Watches(&corev1.Service{}, &handler.EnqueueRequestForObject{}).
		WatchesRawSource(atStart(name)).
		Complete(ordinary(k))
}

// Reconcile makes the service if it is gone.
func (k *kubernetesServices) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	err := k.client.Get(ctx, request.NamespacedName, &corev1.Service{})
	if !apierrors.IsNotFound(err) {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, EnsureKubernetesService(ctx, k.client, k.ip, k.port)
}

// atStart asks once for each of the names: what never existed sends no event.
func atStart(names ...types.NamespacedName) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		for _, name := range names {
			queue.Add(reconcile.Request{NamespacedName: name})
		}
		return nil
	})
}
