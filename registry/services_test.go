// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// serviceComplete is a service as it is stored.
func serviceComplete() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "dev"},
		Spec: corev1.ServiceSpec{
			Type:                  corev1.ServiceTypeClusterIP,
			ClusterIP:             "10.0.0.10",
			ClusterIPs:            []string{"10.0.0.10"},
			IPFamilies:            []corev1.IPFamily{corev1.IPv4Protocol},
			IPFamilyPolicy:        ptr.To(corev1.IPFamilyPolicySingleStack),
			InternalTrafficPolicy: ptr.To(corev1.ServiceInternalTrafficPolicyCluster),
			SessionAffinity:       corev1.ServiceAffinityNone,
			Ports:                 []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromInt32(80)}},
		},
	}
}

func TestServiceDefaultsMakeAValidService(t *testing.T) {
	t.Parallel()
	got := serviceComplete()
	got.Spec = corev1.ServiceSpec{
		ClusterIP: "10.0.0.10", ClusterIPs: []string{"10.0.0.10"}, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
		IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicySingleStack), Ports: []corev1.ServicePort{{Port: 80}},
	}
	defaultService(got)
	if diff := cmp.Diff(serviceComplete(), got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if errs := validateNewService(got); len(errs) > 0 {
		t.Errorf("defaults are not valid: %v", errs)
	}
}

func TestServiceDefaultsDependOnTheType(t *testing.T) {
	t.Parallel()
	balanced := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, SessionAffinity: corev1.ServiceAffinityClientIP}}
	balanced.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}, {Hostname: "example.org"}}
	defaultService(balanced)
	if !*balanced.Spec.AllocateLoadBalancerNodePorts || balanced.Spec.ExternalTrafficPolicy != "Cluster" || *balanced.Spec.SessionAffinityConfig.ClientIP.TimeoutSeconds != 10800 {
		t.Errorf("load balancer: %+v", balanced.Spec)
	}
	if ingress := balanced.Status.LoadBalancer.Ingress; *ingress[0].IPMode != "VIP" || ingress[1].IPMode != nil {
		t.Errorf("ingress: %+v", ingress)
	}
	named := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, SessionAffinityConfig: &corev1.SessionAffinityConfig{}}}
	defaultService(named)
	if named.Spec.InternalTrafficPolicy != nil || named.Spec.ExternalTrafficPolicy != "" || named.Spec.SessionAffinityConfig != nil {
		t.Errorf("external name: %+v", named.Spec)
	}
}

func TestServicesAreChecked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*corev1.Service)
		want   []string
	}{
		"a complete service is valid": {change: func(*corev1.Service) {}},
		"ports are needed": {
			change: func(s *corev1.Service) { s.Spec.Ports = nil },
			want:   []string{"spec.ports: Required value"},
		},
		"a headless service needs none": {change: func(s *corev1.Service) {
			s.Spec.Ports, s.Spec.ClusterIP, s.Spec.ClusterIPs = nil, "None", []string{"None"}
		}},
		"a node port needs an address": {
			change: func(s *corev1.Service) {
				s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeNodePort, corev1.ServiceExternalTrafficPolicyCluster
				s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", []string{"None"}
			},
			want: []string{`spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services`},
		},
		"an unknown type": {
			change: func(s *corev1.Service) { s.Spec.Type = "Odd" },
			want:   []string{`spec.type: Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`},
		},
		"an external name has a name and nothing else": {
			change: func(s *corev1.Service) {
				s.Spec.Type, s.Spec.InternalTrafficPolicy = corev1.ServiceTypeExternalName, nil
			},
			want: []string{
				"spec.clusterIPs: Forbidden: may not be set for ExternalName services",
				"spec.ipFamilies: Forbidden: may not be set for ExternalName services",
				"spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services",
				"spec.externalName: Required value",
			},
		},
		"several ports have names and numbers of their own": {
			change: func(s *corev1.Service) {
				port := s.Spec.Ports[0]
				named := port
				named.Name = "a"
				s.Spec.Ports = []corev1.ServicePort{port, named, named}
			},
			want: []string{
				"spec.ports[0].name: Required value",
				`spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80,"targetPort":0}`,
				`spec.ports[2].name: Duplicate value: "a"`,
				`spec.ports[2]: Duplicate value: {"protocol":"TCP","port":80,"targetPort":0}`,
			},
		},
		"ports are in their range": {
			change: func(s *corev1.Service) {
				s.Spec.Ports[0].Port, s.Spec.Ports[0].Protocol, s.Spec.Ports[0].NodePort = 0, "ICMP", 30000
				s.Spec.Ports[0].TargetPort = intstr.FromString("a_b")
			},
			want: []string{
				"spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
				`spec.ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"`,
				`spec.ports[0].targetPort: Invalid value: "a_b": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)`,
				"spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
			},
		},
		"a selector is made of labels": {
			change: func(s *corev1.Service) { s.Spec.Selector = map[string]string{"a": "b c"} },
			want:   []string{`spec.selector: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`},
		},
		"an affinity is known": {
			change: func(s *corev1.Service) { s.Spec.SessionAffinity = "Odd" },
			want:   []string{`spec.sessionAffinity: Unsupported value: "Odd": supported values: "ClientIP", "None"`},
		},
		"an affinity to clients ends": {
			change: func(s *corev1.Service) {
				s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
				s.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr.To[int32](0)}}
			},
			want: []string{"spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400"},
		},
		"the first address is in both fields": {
			change: func(s *corev1.Service) { s.Spec.ClusterIP = "10.0.0.11" },
			want:   []string{`spec.clusterIPs: Invalid value: ["10.0.0.10"]: first value must match ` + "`clusterIP`"},
		},
		"an address is of its family": {
			change: func(s *corev1.Service) { s.Spec.IPFamilies[0] = corev1.IPv6Protocol },
			want:   []string{`spec.clusterIPs[0]: Invalid value: "10.0.0.10": expected an IPv6 value as indicated by ` + "`ipFamilies[0]`"},
		},
		"an external address is somebody's": {
			change: func(s *corev1.Service) {
				s.Spec.ExternalIPs, s.Spec.ExternalTrafficPolicy = []string{"127.0.0.1"}, corev1.ServiceExternalTrafficPolicyCluster
			},
			want: []string{`spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`},
		},
		"what is for load balancers is for nobody else": {
			change: func(s *corev1.Service) {
				s.Spec.LoadBalancerSourceRanges, s.Spec.LoadBalancerClass = []string{" 10.0.0.0/8 "}, ptr.To("a/b")
				s.Spec.AllocateLoadBalancerNodePorts, s.Spec.HealthCheckNodePort = ptr.To(true), 30001
				s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
			},
			want: []string{
				"spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
				"spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
				"spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
				`spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services`,
				"spec.healthCheckNodePort: Invalid value: 30001: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
			},
		},
		"traffic policies are known": {
			change: func(s *corev1.Service) {
				s.Spec.InternalTrafficPolicy = ptr.To[corev1.ServiceInternalTrafficPolicy]("Odd")
				s.Spec.TrafficDistribution = ptr.To("Odd")
			},
			want: []string{
				`spec.internalTrafficPolicy: Unsupported value: "Odd": supported values: "Cluster", "Local"`,
				`spec.trafficDistribution: Unsupported value: "Odd": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := serviceComplete()
			test.change(service)
			if diff := cmp.Diff(test.want, secretErrors(validateNewService(service))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceUpdatesKeepAddressesAndFamilies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*corev1.Service)
		want   []string
	}{
		"another selector": {change: func(s *corev1.Service) { s.Spec.Selector = map[string]string{"a": "b"} }},
		"another address and family": {
			change: func(s *corev1.Service) {
				s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies = "fd00::1", []string{"fd00::1"}, []corev1.IPFamily{corev1.IPv6Protocol}
			},
			want: []string{
				`spec.clusterIPs[0]: Invalid value: ["fd00::1"]: may not change once set`,
				`spec.ipFamilies[0]: Invalid value: ["IPv6"]: may not change once set`,
			},
		},
		"no address": {
			change: func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil },
			want:   []string{"spec.clusterIPs[0]: Invalid value: null: primary clusterIP can not be unset"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := serviceComplete()
			test.change(service)
			if diff := cmp.Diff(test.want, secretErrors(validateServiceUpdate(service, serviceComplete()))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceUpdatesTolerateAddressesOfOldServers(t *testing.T) {
	t.Parallel()
	old := serviceComplete()
	old.Spec.ExternalIPs, old.Spec.ExternalTrafficPolicy = []string{"192.000.002.001"}, corev1.ServiceExternalTrafficPolicyCluster
	if errs := validateServiceUpdate(old.DeepCopy(), old); len(errs) > 0 {
		t.Errorf("what is stored is refused: %v", errs)
	}
	if errs := validateNewService(old); len(errs) != 1 {
		t.Errorf("a new service with a leading zero in its address: %v", errs)
	}
}

func TestServiceStatusIsForLoadBalancers(t *testing.T) {
	t.Parallel()
	service, old := serviceComplete(), serviceComplete()
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1", Hostname: "192.0.2.1"}}
	want := []string{"status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"}
	if diff := cmp.Diff(want, secretErrors(validateServiceStatus(service, old))); diff != "" {
		t.Errorf("of a cluster IP (-want +got):\n%s", diff)
	}
	service.Spec.Type = corev1.ServiceTypeLoadBalancer
	want = []string{
		"status.loadBalancer.ingress[0].ipMode: Required value: must be specified when `ip` is set",
		`status.loadBalancer.ingress[0].hostname: Invalid value: "192.0.2.1": must be a DNS name, not an IP address`,
	}
	if diff := cmp.Diff(want, secretErrors(validateServiceStatus(service, old))); diff != "" {
		t.Errorf("of a load balancer (-want +got):\n%s", diff)
	}
}

func TestServicesOfOldServersAreCompletedWhenRead(t *testing.T) {
	t.Parallel()
	ips, err := newClusterIPs(netip.MustParsePrefix("fd00::/112"))
	if err != nil {
		t.Fatal(err)
	}
	ranges := &serviceRanges{ips: ips}
	list := &corev1.ServiceList{Items: []corev1.Service{
		{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.0.0.1"}},
		{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "None"}},
		{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, InternalTrafficPolicy: ptr.To(corev1.ServiceInternalTrafficPolicyCluster)}},
	}}
	ranges.completeRead(list)
	want := []corev1.ServiceSpec{
		{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.0.0.1", ClusterIPs: []string{"10.0.0.1"},
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicySingleStack),
		},
		{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: "None", ClusterIPs: []string{"None"},
			IPFamilies: []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}, IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicyRequireDualStack),
		},
		{Type: corev1.ServiceTypeExternalName},
	}
	for i := range want {
		if diff := cmp.Diff(want[i], list.Items[i].Spec); diff != "" {
			t.Errorf("service %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestServiceRowsShowWhereTheServiceIs(t *testing.T) {
	t.Parallel()
	service := serviceComplete()
	service.Spec.Selector = map[string]string{"app": "s"}
	for name, test := range map[string]struct {
		change func(*corev1.Service)
		want   []any
	}{
		"cluster IP": {func(*corev1.Service) {}, []any{"s", "ClusterIP", "10.0.0.10", "<none>", "80/TCP", "<unknown>", "app=s"}},
		"node port": {
			func(s *corev1.Service) { s.Spec.Type, s.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, 30080 },
			[]any{"s", "NodePort", "10.0.0.10", "<none>", "80:30080/TCP", "<unknown>", "app=s"},
		},
		"load balancer before it is there": {
			func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer },
			[]any{"s", "LoadBalancer", "10.0.0.10", "<pending>", "80/TCP", "<unknown>", "app=s"},
		},
		"load balancer": {
			func(s *corev1.Service) {
				s.Spec.Type, s.Spec.ExternalIPs = corev1.ServiceTypeLoadBalancer, []string{"192.0.2.9"}
				s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example.org"}, {IP: "192.0.2.1"}}
			},
			[]any{"s", "LoadBalancer", "10.0.0.10", "192.0.2.1,lb.example.org,192.0.2.9", "80/TCP", "<unknown>", "app=s"},
		},
		"external name": {
			func(s *corev1.Service) {
				s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.org"}
			},
			[]any{"s", "ExternalName", "<none>", "example.org", "<none>", "<unknown>", "<none>"},
		},
	} {
		changed := service.DeepCopy()
		test.change(changed)
		if diff := cmp.Diff(test.want, serviceRow(changed)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestServiceWarningsTellOfFieldsThatAreIgnored(t *testing.T) {
	t.Parallel()
	if got := serviceWarnings(t.Context(), serviceComplete(), nil); got != nil {
		t.Errorf("a plain service warns: %q", got)
	}
	odd := serviceComplete()
	odd.Spec.ClusterIP, odd.Spec.ClusterIPs = "None", []string{"None"}
	odd.Spec.LoadBalancerIP, odd.Spec.ExternalName, odd.Spec.TrafficDistribution = "192.0.2.1", "example.org", ptr.To("PreferClose")
	want := []string{
		"spec.loadBalancerIP is ignored for headless services",
		`spec.externalName is ignored when spec.type is not "ExternalName"`,
		`spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"`,
	}
	if diff := cmp.Diff(want, serviceWarnings(t.Context(), odd, nil)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
