// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// serviceRanges are what services are given from.
type serviceRanges struct {
	ips   clusterIPs
	ports nodePorts
}

// nodePorts are the ports of a range as items of a storedRange.
type nodePorts struct {
	*storedRange
	ports utilnet.PortRange
}

// defaultNodePorts is that of --service-node-port-range in Kubernetes.
func defaultNodePorts() utilnet.PortRange { return utilnet.PortRange{Base: 30000, Size: 2768} }

func newNodePorts(ports utilnet.PortRange) nodePorts {
	band := 0
	if ports.Size > 16 {
		band = min(max(16, ports.Size/32), 128)
	}
	return nodePorts{
		storedRange: &storedRange{key: "/ranges/servicenodeports", text: ports.String(), noun: "port", size: ports.Size, band: band},
		ports:       ports,
	}
}

// item finds the port in the range.
func (n nodePorts) item(port int32) (int, error) {
	if !n.ports.Contains(int(port)) {
		return 0, refusedItem("provided port is not in the valid range. The range of valid ports is " + n.text)
	}
	return int(port) - n.ports.Base, nil
}

// claimsOf lists what a stored service has from the ranges.
func (s *serviceRanges) claimsOf(service *corev1.Service) []claim {
	var list []claim
	for _, address := range addressesOf(service) {
		if item, err := s.ips.item(address); err == nil {
			list = append(list, claim{s.ips.storedRange, item})
		}
	}
	for _, port := range nodePortsOf(service) {
		if item, err := s.ports.item(port); err == nil {
			list = append(list, claim{s.ports.storedRange, item})
		}
	}
	return list
}

// addressesOf are the cluster IPs of a service; one that was stored before there
// could be several has only the first field.
func addressesOf(service *corev1.Service) []string {
	if !needsClusterIP(service) || service.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil
	}
	if len(service.Spec.ClusterIPs) == 0 && service.Spec.ClusterIP != "" {
		return []string{service.Spec.ClusterIP}
	}
	return service.Spec.ClusterIPs
}

// nodePortsOf are the node ports of a service, each once, with that of its
// health check.
func nodePortsOf(service *corev1.Service) []int32 {
	seen := map[int32]bool{0: true}
	var ports []int32
	add := func(port int32) {
		if !seen[port] {
			seen[port] = true
			ports = append(ports, port)
		}
	}
	for _, port := range service.Spec.Ports {
		add(port.NodePort)
	}
	if needsHealthCheck(service) {
		add(service.Spec.HealthCheckNodePort)
	}
	return ports
}

// giveNew gives a new service what it asks for or lacks.
func (s *serviceRanges) giveNew(ctx context.Context, c *claims, service *corev1.Service) error {
	if err := s.setFamilies(service, nil); err != nil {
		return err
	}
	if err := s.giveAddress(ctx, c, service); err != nil {
		return err
	}
	return s.givePorts(ctx, c, service, nil)
}

// giveChanged gives a changed service what it now asks for or lacks, and frees
// what it no longer has.
func (s *serviceRanges) giveChanged(ctx context.Context, c *claims, service, old *corev1.Service) error {
	if err := s.setFamilies(service, old); err != nil {
		return err
	}
	if !needsClusterIP(old) && needsClusterIP(service) {
		if err := s.giveAddress(ctx, c, service); err != nil {
			return err
		}
	}
	if err := s.givePorts(ctx, c, service, old); err != nil {
		return err
	}
	if old.DeletionTimestamp != nil {
		// The write may be the one that ends it; the deletion gives all back.
		return nil
	}
	s.freeUnneeded(c, service, old)
	return nil
}

// freeUnneeded frees what a service has lost with a change of its type or ports.
// The strategy drops the fields after this.
func (s *serviceRanges) freeUnneeded(c *claims, service, old *corev1.Service) {
	keeps := &corev1.Service{Spec: *service.Spec.DeepCopy()}
	if !needsNodePort(service) {
		keeps.Spec.Ports = nil
	}
	has := map[claim]bool{}
	for _, item := range s.claimsOf(keeps) {
		has[item] = true
	}
	for _, item := range s.claimsOf(old) {
		if !has[item] {
			c.free(item.from, item.item)
		}
	}
}

// giveAddress gives a service its cluster IP, unless it is headless or a mere
// name. The families are set.
func (s *serviceRanges) giveAddress(ctx context.Context, c *claims, service *corev1.Service) error {
	spec := &service.Spec
	if !needsClusterIP(service) || isHeadless(service) {
		return nil
	}
	if len(spec.ClusterIPs) > 0 {
		asked := spec.ClusterIPs[0]
		if err := s.takeAddress(ctx, c, service, asked); err != nil {
			return notGiven(service, field.NewPath("spec", "clusterIPs"), spec.ClusterIPs, fmt.Errorf("failed to allocate IP %s: %w", asked, err))
		}
		return nil
	}
	item, err := c.takeNext(ctx, s.ips.storedRange)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP for Service %q: %w", service.Name, err))
	}
	spec.ClusterIP = s.ips.address(item)
	spec.ClusterIPs = []string{spec.ClusterIP}
	return nil
}

// takeAddress claims an address by name. That of the API server, which its
// certificate and every pod's environment know, is for its own service only.
func (s *serviceRanges) takeAddress(ctx context.Context, c *claims, service *corev1.Service, address string) error {
	item, err := s.ips.item(address)
	if err != nil {
		return err
	}
	if item == 0 && (service.Namespace != metav1.NamespaceDefault || service.Name != "kubernetes") {
		return alreadyAllocated(s.ips.noun)
	}
	return c.take(ctx, s.ips.storedRange, item)
}

// notGiven tells a client that it cannot have what it asked for, if that is the
// reason, and otherwise that the store failed.
func notGiven(service *corev1.Service, path *field.Path, value any, err error) error {
	var refused refusedItem
	if !errors.As(err, &refused) {
		return apierrors.NewInternalError(err)
	}
	return invalidService(service, field.Invalid(path, value, err.Error()))
}

func invalidService(service *corev1.Service, errs ...*field.Error) error {
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), service.Name, errs)
}

// givePorts gives a service the node ports that it asks for or lacks, but not
// those that it holds. Ports of the same number share a node port: they differ
// in their protocol. old is nil for a new service.
func (s *serviceRanges) givePorts(ctx context.Context, c *claims, service, old *corev1.Service) error {
	held := map[int32]bool{}
	if old != nil {
		for _, port := range nodePortsOf(old) {
			held[port] = true
		}
	}
	if service.Spec.Type == corev1.ServiceTypeNodePort || service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		if err := s.takeAskedPorts(ctx, c, service, held); err != nil {
			return err
		}
		if allocatesNodePorts(service) {
			if err := s.takeLackingPorts(ctx, c, service); err != nil {
				return err
			}
		}
	}
	if !needsHealthCheck(service) || (old != nil && needsHealthCheck(old)) {
		return nil
	}
	return s.giveHealthCheckPort(ctx, c, service)
}

func (s *serviceRanges) takeAskedPorts(ctx context.Context, c *claims, service *corev1.Service, held map[int32]bool) error {
	for i, port := range service.Spec.Ports {
		if port.NodePort == 0 || held[port.NodePort] {
			continue
		}
		if err := s.takePort(ctx, c, port.NodePort); err != nil {
			path := field.NewPath("spec", "ports").Index(i).Child("nodePort")
			return notGiven(service, path, port.NodePort, err)
		}
		held[port.NodePort] = true
	}
	return nil
}

func (s *serviceRanges) takeLackingPorts(ctx context.Context, c *claims, service *corev1.Service) error {
	given := map[int32]int32{}
	for _, port := range service.Spec.Ports {
		if port.NodePort != 0 {
			given[port.Port] = port.NodePort
		}
	}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if port.NodePort != 0 {
			continue
		}
		if given[port.Port] == 0 {
			item, err := c.takeNext(ctx, s.ports.storedRange)
			if err != nil {
				return apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: %w", err))
			}
			given[port.Port] = int32(s.ports.ports.Base + item)
		}
		port.NodePort = given[port.Port]
	}
	return nil
}

func (s *serviceRanges) giveHealthCheckPort(ctx context.Context, c *claims, service *corev1.Service) error {
	if port := service.Spec.HealthCheckNodePort; port != 0 {
		if err := s.takePort(ctx, c, port); err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate requested HealthCheck NodePort %d: %w", port, err))
		}
		return nil
	}
	item, err := c.takeNext(ctx, s.ports.storedRange)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a HealthCheck NodePort: %w", err))
	}
	service.Spec.HealthCheckNodePort = int32(s.ports.ports.Base + item)
	return nil
}

func (s *serviceRanges) takePort(ctx context.Context, c *claims, port int32) error {
	item, err := s.ports.item(port)
	if err != nil {
		return err
	}
	return c.take(ctx, s.ports.storedRange, item)
}

// allocatesNodePorts tells whether ports without a node port get one.
func allocatesNodePorts(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeNodePort ||
		(service.Spec.Type == corev1.ServiceTypeLoadBalancer && ptr.Deref(service.Spec.AllocateLoadBalancerNodePorts, true))
}
