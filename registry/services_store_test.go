// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// serviceStoreOptions hands out storage of one etcd, as the server does.
type serviceStoreOptions struct {
	config *storagebackend.Config
}

func (o serviceStoreOptions) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	prefix := resource.Resource
	if prefix == "services" {
		prefix = "services/specs"
	}
	return generic.RESTOptions{
		StorageConfig:           o.config.ForResource(resource),
		Decorator:               generic.UndecoratedStorage,
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: 1,
		ResourcePrefix:          prefix,
	}, nil
}

// serviceReplica is one server's storage of services.
type serviceReplica struct {
	*serviceREST
	scheme *runtime.Scheme
	ranges *serviceRanges
	status *subresource
	ctx    context.Context
}

// serviceEtcd starts an etcd for one test and returns its address.
func serviceEtcd(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "muster-test-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := embed.NewConfig()
	config.Dir, config.UnsafeNoFsync = dir, true
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	config.ListenClientUrls = []url.URL{{Scheme: "unix", Path: filepath.Join(dir, "etcd.sock")}}
	config.AdvertiseClientUrls, config.ListenPeerUrls = config.ListenClientUrls, nil
	config.TickMs, config.ElectionMs = 10, 50
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	<-etcd.Server.ReadyNotify()
	return "unix://" + config.ListenClientUrls[0].Path
}

// serviceEnvironment is a server's environment over an etcd of its own.
func serviceEnvironment(t *testing.T, services Services, resources ...Resource) Environment {
	t.Helper()
	scheme, err := NewScheme(resources)
	if err != nil {
		t.Fatal(err)
	}
	config := storagebackend.NewDefaultConfig("/registry", serializer.NewCodecFactory(scheme).LegacyCodec(corev1.SchemeGroupVersion))
	config.Transport.ServerList = []string{serviceEtcd(t)}
	return Environment{Scheme: scheme, RESTOptions: serviceStoreOptions{config}, Services: services}
}

// serviceStore starts an etcd; each call of what it returns makes a replica.
func serviceStore(t *testing.T, cidr string) func() *serviceReplica {
	t.Helper()
	env := serviceEnvironment(t, Services{ClusterIPRange: netip.MustParsePrefix(cidr)}, services())
	return func() *serviceReplica {
		stores, err := services().Storage(env)
		if err != nil {
			t.Fatal(err)
		}
		main := stores["services"].(*serviceREST)
		t.Cleanup(main.Destroy)
		return &serviceReplica{
			serviceREST: main, scheme: env.Scheme, status: stores["services/status"].(*subresource),
			ranges: main.named.Store.Storage.Storage.(*releasingStorage).ranges,
			ctx:    genericapirequest.WithNamespace(t.Context(), "dev"),
		}
	}
}

func serviceNamed(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "dev"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

func (r *serviceReplica) make(service *corev1.Service, dryRun ...string) (*corev1.Service, error) {
	service = service.DeepCopy()
	r.scheme.Default(service)
	ctx := genericapirequest.WithNamespace(r.ctx, service.Namespace)
	out, err := r.Create(ctx, service, rest.ValidateAllObjectFunc, &metav1.CreateOptions{DryRun: dryRun})
	if err != nil {
		return nil, err
	}
	return out.(*corev1.Service), nil
}

func (r *serviceReplica) mustMake(t *testing.T, service *corev1.Service) *corev1.Service {
	t.Helper()
	made, err := r.make(service)
	if err != nil {
		t.Fatalf("creating service %q: %v", service.Name, err)
	}
	return made
}

// edit changes a service as a PATCH does.
func (r *serviceReplica) edit(name string, change func(*corev1.Service)) (*corev1.Service, error) {
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		service := old.DeepCopyObject().(*corev1.Service)
		change(service)
		r.scheme.Default(service)
		return service, nil
	})
	out, _, err := r.Update(r.ctx, name, info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return out.(*corev1.Service), nil
}

func (r *serviceReplica) remove(t *testing.T, name string) {
	t.Helper()
	if _, _, err := r.Delete(r.ctx, name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
		t.Fatalf("deleting service %q: %v", name, err)
	}
}

// taken lists the items of a range that the store has as taken.
func serviceTaken(t *testing.T, from *storedRange) []int {
	t.Helper()
	bits, err := from.read(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	taken := []int{}
	for item := range from.size {
		if bits.Bit(item) == 1 {
			taken = append(taken, item)
		}
	}
	return taken
}

func TestServicesOfTwoReplicasNeverShareAnAddress(t *testing.T) {
	t.Parallel()
	open := serviceStore(t, "10.7.0.0/26")
	replicas := []*serviceReplica{open(), open()}
	var lock sync.Mutex
	owners := map[string]string{}
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			name := fmt.Sprintf("s%d", i)
			made, err := replicas[i%2].make(serviceNamed(name))
			if err != nil {
				t.Errorf("creating %q: %v", name, err)
				return
			}
			lock.Lock()
			defer lock.Unlock()
			if other, ok := owners[made.Spec.ClusterIP]; ok {
				t.Errorf("%q and %q both have %s", name, other, made.Spec.ClusterIP)
			}
			owners[made.Spec.ClusterIP] = name
		})
	}
	wait.Wait()
	if owner, ok := owners["10.7.0.1"]; ok {
		t.Errorf("%q has the API server's address", owner)
	}
	if got := len(serviceTaken(t, replicas[0].ranges.ips.storedRange)); got != 40 {
		t.Errorf("%d addresses are taken, want 40", got)
	}
}

func TestServicesThatAreGoneOrNeverCameLeaveNothing(t *testing.T) {
	t.Parallel()
	replica := serviceStore(t, "10.7.0.0/29")() // six addresses, the first is the API server's
	for i := range 5 {
		replica.mustMake(t, serviceNamed(fmt.Sprintf("s%d", i)))
	}
	_, err := replica.make(serviceNamed("late"))
	if want := `Internal error occurred: failed to allocate a serviceIP for Service "late": range is full`; err == nil || err.Error() != want {
		t.Fatalf("a full range answers %v, want %q", err, want)
	}
	replica.remove(t, "s3")
	nameless := serviceNamed("invalid")
	nameless.Spec.Ports = nil
	for _, service := range []*corev1.Service{nameless, serviceNamed("s1")} {
		if _, err := replica.make(service); err == nil {
			t.Fatalf("service %q was created", service.Name)
		}
	}
	replica.mustMake(t, serviceNamed("late"))

	if _, err := replica.DeleteCollection(replica.ctx, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if taken := serviceTaken(t, replica.ranges.ips.storedRange); len(taken) != 0 {
		t.Errorf("items %v are taken after all services are gone", taken)
	}
}

func TestServiceDryRunsTakeNothing(t *testing.T) {
	t.Parallel()
	replica := serviceStore(t, "10.7.0.0/24")()
	first := serviceNamed("first")
	first.Spec.ClusterIP = "10.7.0.77"
	replica.mustMake(t, first)
	ports := serviceNamed("ports")
	ports.Spec.Type = corev1.ServiceTypeNodePort
	ports.Spec.Ports = []corev1.ServicePort{{Name: "a", Port: 1}, {Name: "b", Port: 2}}
	tried, err := replica.make(ports, metav1.DryRunAll)
	if err != nil {
		t.Fatal(err)
	}
	if tried.Spec.ClusterIP == "" || tried.Spec.Ports[0].NodePort == tried.Spec.Ports[1].NodePort {
		t.Errorf("a dry run shows %+v", tried.Spec)
	}
	first.Name = "second"
	if _, err := replica.make(first, metav1.DryRunAll); !apierrors.IsInvalid(err) {
		t.Errorf("a dry run for a taken address answers %v", err)
	}
	if _, _, err := replica.Delete(replica.ctx, "first", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{76}, serviceTaken(t, replica.ranges.ips.storedRange)); diff != "" {
		t.Errorf("taken addresses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{}, serviceTaken(t, replica.ranges.ports.storedRange)); diff != "" {
		t.Errorf("taken ports (-want +got):\n%s", diff)
	}
}

func TestServicesGetTheAddressesTheyAskForOrAClearNo(t *testing.T) {
	t.Parallel()
	replica := serviceStore(t, "10.7.0.0/24")()
	thief := serviceNamed("kubernetes") // by this name, but in another namespace
	thief.Spec.ClusterIP = "10.7.0.1"
	if _, err := replica.make(thief); !apierrors.IsInvalid(err) {
		t.Errorf("asking for the API server's address answers %v", err)
	}
	kubernetes := serviceNamed("kubernetes")
	kubernetes.Namespace, kubernetes.Spec.ClusterIP = "default", "10.7.0.1"
	replica.mustMake(t, kubernetes)
	asked := serviceNamed("asked")
	asked.Spec.ClusterIP = "10.7.0.10"
	made := replica.mustMake(t, asked)
	if diff := cmp.Diff([]string{"10.7.0.10"}, made.Spec.ClusterIPs); diff != "" {
		t.Errorf("clusterIPs (-want +got):\n%s", diff)
	}
	for address, why := range map[string]string{
		"10.7.0.1":   "failed to allocate IP 10.7.0.1: provided IP is already allocated",
		"10.7.0.10":  "failed to allocate IP 10.7.0.10: provided IP is already allocated",
		"10.7.0.255": "failed to allocate IP 10.7.0.255: the provided IP (10.7.0.255) is not in the valid range. The range of valid IPs is 10.7.0.0/24",
		"10.8.0.1":   "failed to allocate IP 10.8.0.1: the provided IP (10.8.0.1) is not in the valid range. The range of valid IPs is 10.7.0.0/24",
		"nonsense":   "spec.clusterIPs[0]: Invalid value: \"nonsense\": must be a valid IP address",
		"fd00::1":    "IPv6 is not configured on this cluster",
	} {
		other := serviceNamed("other")
		other.Spec.ClusterIP = address
		if _, err := replica.make(other); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), why) {
			t.Errorf("asking for %s answers %v, want %q", address, err, why)
		}
	}
	// Pinned: this is the form in which Kubernetes keeps the same range.
	stored, err := replica.ranges.ips.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("10.7.0.0/24", stored.Range); diff != "" {
		t.Errorf("stored range (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]byte{0b10, 0b1}, stored.Data); diff != "" {
		t.Errorf("stored bits (-want +got):\n%s", diff)
	}
}

func TestServicesWithoutABitmapAreFoundAtTheStart(t *testing.T) {
	t.Parallel()
	open := serviceStore(t, "10.7.0.0/24")
	asked := serviceNamed("asked")
	asked.Spec.ClusterIP, asked.Spec.Type = "10.7.0.10", corev1.ServiceTypeNodePort
	first := open()
	port := first.mustMake(t, asked).Spec.Ports[0].NodePort
	for _, from := range []*storedRange{first.ranges.ips.storedRange, first.ranges.ports.storedRange} {
		if err := from.storage.Delete(t.Context(), from.key, &corev1.RangeAllocation{}, nil, rest.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	second := open()
	asked.Name = "again"
	if _, err := second.make(asked); err == nil || !strings.Contains(err.Error(), "already allocated") {
		t.Errorf("an address in use answers %v", err)
	}
	asked.Spec.ClusterIP, asked.Spec.Ports[0].NodePort = "", port
	_, err := second.make(asked)
	if want := fmt.Sprintf("spec.ports[0].nodePort: Invalid value: %d: provided port is already allocated", port); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a port in use answers %v, want %q", err, want)
	}
}

func TestLeakedAddressesComeBackAfterSomeRounds(t *testing.T) {
	t.Parallel()
	replica := serviceStore(t, "10.7.0.0/24")()
	ips := replica.ranges.ips.storedRange
	now := time.Now()
	ips.now = func() time.Time { return now }
	service := serviceNamed("held")
	service.Spec.ClusterIP = "10.7.0.10"
	replica.mustMake(t, service)
	const held, leak = 9, 200
	if err := ips.change(t.Context(), func(bits *big.Int) error { return ips.claim(bits, leak) }); err != nil {
		t.Fatal(err)
	}
	touch := func(*big.Int) error { return nil }
	for round := range leakRounds {
		if diff := cmp.Diff([]int{held, leak}, serviceTaken(t, ips)); diff != "" {
			t.Fatalf("taken before round %d (-want +got):\n%s", round, diff)
		}
		now = now.Add(rangeRound)
		if err := ips.change(t.Context(), touch); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{held}, serviceTaken(t, ips)); diff != "" {
		t.Errorf("taken after all rounds (-want +got):\n%s", diff)
	}
}

func TestServicesChangeTheirTypes(t *testing.T) {
	t.Parallel()
	replica := serviceStore(t, "10.7.0.0/24")()
	ips, ports := replica.ranges.ips.storedRange, replica.ranges.ports.storedRange
	made := replica.mustMake(t, serviceNamed("s"))
	retype := func(kind corev1.ServiceType, change func(*corev1.Service)) *corev1.Service {
		t.Helper()
		service, err := replica.edit("s", func(service *corev1.Service) {
			service.Spec.Type = kind
			if change != nil {
				change(service)
			}
		})
		if err != nil {
			t.Fatalf("to %s: %v", kind, err)
		}
		return service
	}
	expect := func(step string, addresses, portCount int) {
		t.Helper()
		if got := len(serviceTaken(t, ips)); got != addresses {
			t.Errorf("%s: %d addresses are taken, want %d", step, got, addresses)
		}
		if got := len(serviceTaken(t, ports)); got != portCount {
			t.Errorf("%s: %d ports are taken, want %d", step, got, portCount)
		}
	}
	open := retype(corev1.ServiceTypeNodePort, nil)
	expect("to NodePort", 1, 1)
	port := open.Spec.Ports[0].NodePort
	if port < 30000 || port > 32767 {
		t.Errorf("node port %d", port)
	}
	balanced := retype(corev1.ServiceTypeLoadBalancer, func(service *corev1.Service) {
		service.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Port: 81, Name: "b"})
		service.Spec.Ports[0].Name, service.Spec.Ports[0].NodePort = "a", port
	})
	expect("to LoadBalancer", 1, 3)
	if balanced.Spec.Ports[0].NodePort != port || balanced.Spec.HealthCheckNodePort == 0 {
		t.Errorf("ports of the load balancer: %+v", balanced.Spec)
	}
	closed := retype(corev1.ServiceTypeClusterIP, nil)
	expect("back to ClusterIP", 1, 0)
	if closed.Spec.Ports[0].NodePort != 0 || closed.Spec.HealthCheckNodePort != 0 || closed.Spec.ExternalTrafficPolicy != "" || closed.Spec.AllocateLoadBalancerNodePorts != nil {
		t.Errorf("left from the load balancer: %+v", closed.Spec)
	}
	if closed.Spec.ClusterIP != made.Spec.ClusterIP {
		t.Errorf("the address changed from %s to %s", made.Spec.ClusterIP, closed.Spec.ClusterIP)
	}
	named := retype(corev1.ServiceTypeExternalName, func(service *corev1.Service) { service.Spec.ExternalName = "example.org" })
	expect("to ExternalName", 0, 0)
	if named.Spec.ClusterIP != "" || named.Spec.IPFamilies != nil || named.Spec.IPFamilyPolicy != nil || named.Spec.InternalTrafficPolicy != nil {
		t.Errorf("left from the address: %+v", named.Spec)
	}
	again := retype(corev1.ServiceTypeClusterIP, func(service *corev1.Service) { service.Spec.ExternalName = "" })
	expect("to ClusterIP again", 1, 0)
	if again.Spec.ClusterIP == "" {
		t.Error("no address")
	}
}

func TestServiceManifestsCanBePutAgain(t *testing.T) {
	t.Parallel()
	replica := serviceStore(t, "10.7.0.0/24")()
	manifest := serviceNamed("s")
	manifest.Spec.Type = corev1.ServiceTypeNodePort
	made := replica.mustMake(t, manifest)
	put, err := replica.edit("s", func(service *corev1.Service) {
		service.Spec = *manifest.Spec.DeepCopy()
		service.Spec.Selector = map[string]string{"app": "s"}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := made.Spec.DeepCopy()
	want.Selector = put.Spec.Selector
	if diff := cmp.Diff(*want, put.Spec); diff != "" {
		t.Errorf("spec after the second time (-want +got):\n%s", diff)
	}
	_, err = replica.edit("s", func(service *corev1.Service) { service.Spec.ClusterIP = "10.7.0.99" })
	if want := `spec.clusterIPs[0]: Invalid value: ["10.7.0.99"]: may not change once set`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("another address answers %v, want %q", err, want)
	}
}

func TestServiceWritesThatAreTriedTwiceLeakNothing(t *testing.T) {
	t.Parallel()
	replica := serviceStore(t, "10.7.0.0/24")()
	replica.mustMake(t, serviceNamed("s"))
	interrupted := false
	service, err := replica.edit("s", func(service *corev1.Service) {
		service.Spec.Type = corev1.ServiceTypeNodePort
		if interrupted {
			return
		}
		interrupted = true
		if _, err := replica.edit("s", func(service *corev1.Service) { service.Labels = map[string]string{"first": "come"} }); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if service.Labels["first"] != "come" {
		t.Fatal("the write was not tried twice")
	}
	item, _ := replica.ranges.ports.item(service.Spec.Ports[0].NodePort)
	if diff := cmp.Diff([]int{item}, serviceTaken(t, replica.ranges.ports.storedRange)); diff != "" {
		t.Errorf("taken ports (-want +got):\n%s", diff)
	}
	// A write that is refused at the end changes nothing that is taken.
	refuse := errors.New("no")
	_, _, err = replica.Update(replica.ctx, "s", rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		service := old.DeepCopyObject().(*corev1.Service)
		service.Spec.Type, service.Spec.ExternalName = corev1.ServiceTypeExternalName, "example.org"
		return service, nil
	}), rest.ValidateAllObjectFunc, func(context.Context, runtime.Object, runtime.Object) error { return refuse }, false, &metav1.UpdateOptions{})
	if !errors.Is(err, refuse) {
		t.Fatal(err)
	}
	if got := len(serviceTaken(t, replica.ranges.ips.storedRange)); got != 1 {
		t.Errorf("%d addresses are taken, want 1", got)
	}
}

func TestServiceThatEndsThroughItsStatusGivesAllBack(t *testing.T) {
	t.Parallel()
	replica := serviceStore(t, "10.7.0.0/24")()
	guarded := serviceNamed("s")
	guarded.Finalizers = []string{"example.org/guard"}
	replica.mustMake(t, guarded)
	replica.remove(t, "s")
	if got := len(serviceTaken(t, replica.ranges.ips.storedRange)); got != 1 {
		t.Fatalf("%d addresses are taken while the finalizer is there, want 1", got)
	}
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		service := old.DeepCopyObject().(*corev1.Service)
		service.Finalizers = nil
		return service, nil
	})
	if _, _, err := replica.status.Update(replica.ctx, "s", info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := replica.Get(replica.ctx, "s", &metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatalf("the service is still there: %v", err)
	}
	if taken := serviceTaken(t, replica.ranges.ips.storedRange); len(taken) != 0 {
		t.Errorf("items %v are taken", taken)
	}
}

func TestHeadlessServicesTakeNoAddress(t *testing.T) {
	t.Parallel()
	replica := serviceStore(t, "10.7.0.0/24")()
	selected := serviceNamed("selected")
	selected.Spec.ClusterIP, selected.Spec.Selector = "None", map[string]string{"a": "b"}
	made := replica.mustMake(t, selected)
	if diff := cmp.Diff([]corev1.IPFamily{"IPv4"}, made.Spec.IPFamilies); diff != "" || *made.Spec.IPFamilyPolicy != "SingleStack" {
		t.Errorf("families of a selector (%s) (-want +got):\n%s", *made.Spec.IPFamilyPolicy, diff)
	}
	bare := serviceNamed("bare")
	bare.Spec.ClusterIP = "None"
	made = replica.mustMake(t, bare)
	if diff := cmp.Diff([]corev1.IPFamily{"IPv4", "IPv6"}, made.Spec.IPFamilies); diff != "" || *made.Spec.IPFamilyPolicy != "RequireDualStack" {
		t.Errorf("families without one (%s) (-want +got):\n%s", *made.Spec.IPFamilyPolicy, diff)
	}
	double := serviceNamed("double")
	policy := corev1.IPFamilyPolicyRequireDualStack
	double.Spec.IPFamilyPolicy = &policy
	if _, err := replica.make(double); err == nil || !strings.Contains(err.Error(), "this cluster is not configured for dual-stack services") {
		t.Errorf("two families answer %v", err)
	}
	if taken := serviceTaken(t, replica.ranges.ips.storedRange); len(taken) != 0 {
		t.Errorf("items %v are taken", taken)
	}
}
