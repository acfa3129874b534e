// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	etcdtransport "go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
	"github.com/muster-identity/muster/test/conformance"
)

// storeAt is a client of an etcd.
func storeAt(t *testing.T, url string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, DialTimeout: time.Minute, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// A snapshot of a store can be opened by Kubernetes, and the other way round, as long as both put the same objects under
// the same keys in the same encoding.
func TestObjectsAreStoredAsKubernetesStoresThem(t *testing.T) {
	t.Parallel()
	etcd := externalEtcd(t, etcdtransport.TLSInfo{})
	muster := mustertest.Start(t, func(o *server.Options) { o.Etcd.StorageConfig.Transport.ServerList = []string{etcd} })
	muster.Namespace("dev")
	for _, sample := range conformance.Samples("dev", "sample") {
		create(t, muster.Admin(), sample)
	}
	store := storeAt(t, etcd)

	want := map[string]string{
		"configmaps/dev/sample":             "/v1, Kind=ConfigMap",
		"events/dev/sample":                 "/v1, Kind=Event",
		"events/dev/sample-new":             "/v1, Kind=Event",
		"namespaces/sample":                 "/v1, Kind=Namespace",
		"minions/sample":                    "/v1, Kind=Node",
		"pods/dev/sample":                   "/v1, Kind=Pod",
		"podtemplates/dev/sample":           "/v1, Kind=PodTemplate",
		"secrets/dev/sample":                "/v1, Kind=Secret",
		"serviceaccounts/dev/sample":        "/v1, Kind=ServiceAccount",
		"services/specs/dev/sample":         "/v1, Kind=Service",
		"jobs/dev/sample":                   "batch/v1, Kind=Job",
		"certificatesigningrequests/sample": "certificates.k8s.io/v1, Kind=CertificateSigningRequest",
		"clustertrustbundles/sample":        "certificates.k8s.io/v1, Kind=ClusterTrustBundle",
		"podcertificaterequests/dev/sample": "certificates.k8s.io/v1, Kind=PodCertificateRequest",
		"leases/dev/sample":                 "coordination.k8s.io/v1, Kind=Lease",
		"clusterrolebindings/sample":        "rbac.authorization.k8s.io/v1, Kind=ClusterRoleBinding",
		"clusterroles/sample":               "rbac.authorization.k8s.io/v1, Kind=ClusterRole",
		"rolebindings/dev/sample":           "rbac.authorization.k8s.io/v1, Kind=RoleBinding",
		"roles/dev/sample":                  "rbac.authorization.k8s.io/v1, Kind=Role",
	}
	got := map[string]string{}
	for key := range want {
		found, err := store.Get(t.Context(), "/registry/"+key)
		if err != nil {
			t.Fatal(err)
		}
		for _, stored := range found.Kvs {
			got[key] = storedKind(t, stored.Value)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is stored where (-want +got):\n%s", diff)
	}
}

// create makes an object through the API.
func create(t *testing.T, admin *rest.Config, sample conformance.Sample) {
	t.Helper()
	version := sample.Resource.GroupVersion()
	admin.GroupVersion, admin.NegotiatedSerializer, admin.APIPath = &version, scheme.Codecs.WithoutConversion(), "/apis"
	if version.Group == "" {
		admin.APIPath = "/api"
	}
	client, err := rest.RESTClientFor(admin)
	if err != nil {
		t.Fatal(err)
	}
	err = client.Post().NamespaceIfScoped("dev", sample.Namespaced).Resource(sample.Resource.Resource).Body(sample.Object).Do(t.Context()).Error()
	if err != nil {
		t.Fatalf("making %s %q: %v", sample.Resource.Resource, sample.Name(), err)
	}
}

// storedKind is what a stored value says it is. Kubernetes puts four bytes before a protobuf message that names the kind
// and holds the object (k8s.io/apimachinery/pkg/runtime/serializer/protobuf).
func storedKind(t *testing.T, value []byte) string {
	t.Helper()
	message, found := bytes.CutPrefix(value, []byte("k8s\x00"))
	var envelope runtime.Unknown
	if !found || envelope.Unmarshal(message) != nil {
		t.Errorf("a value is not in Kubernetes' protobuf: it begins with %q", value[:min(4, len(value))])
		return ""
	}
	return envelope.GetObjectKind().GroupVersionKind().String()
}
