// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// emptyServer is an API server that has nothing and takes what it is given. It
// knows no streaming lists; its watches stay open and silent.
type emptyServer struct {
	mu sync.Mutex
	// Guarded by mu.
	created []string
	watched []string
	watches int // that are open
}

func (s *emptyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	resource := path.Base(r.URL.Path)
	switch {
	case r.Method == http.MethodPost:
		s.mu.Lock()
		s.created = append(s.created, r.URL.Path)
		s.mu.Unlock()
		answer(w, http.StatusConflict, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"AlreadyExists","code":409}`)
	case query.Get("sendInitialEvents") != "":
		answer(w, http.StatusUnprocessableEntity, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
	case query.Get("watch") != "":
		s.watch(w, r, resource+" "+query.Get("fieldSelector")+query.Get("labelSelector"))
	case path.Base(path.Dir(r.URL.Path)) == "configmaps":
		answer(w, http.StatusNotFound, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	default:
		answer(w, http.StatusOK, emptyList(r, resource))
	}
}

func (s *emptyServer) watch(w http.ResponseWriter, r *http.Request, what string) {
	s.mu.Lock()
	s.watched = append(s.watched, strings.TrimSpace(what))
	s.watches++
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	<-r.Context().Done()
	s.mu.Lock()
	s.watches--
	s.mu.Unlock()
}

func answer(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprint(w, body)
}

func emptyList(r *http.Request, resource string) string {
	const list = `{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"1"},"items":[]}`
	if strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") {
		return fmt.Sprintf(list, "PartialObjectMetadataList", "meta.k8s.io/v1")
	}
	kinds := map[string]string{"certificatesigningrequests": "CertificateSigningRequest", "clustertrustbundles": "ClusterTrustBundle", "podcertificaterequests": "PodCertificateRequest", "clusterroles": "ClusterRole", "configmaps": "ConfigMap", "leases": "Lease", "nodes": "Node", "pods": "Pod", "secrets": "Secret", "services": "Service", "tokenrevocations": "TokenRevocation", "validatingadmissionpolicies": "ValidatingAdmissionPolicy"}
	version := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/apis/"), "/api/")
	version = strings.TrimSuffix(strings.TrimSuffix(version, "/"+resource), "/namespaces/default")
	version = strings.TrimSuffix(version, "/namespaces/kube-system")
	return fmt.Sprintf(list, kinds[resource]+"List", version)
}

// what the server saw so far, sorted; each watch once.
func (s *emptyServer) saw() (created, watched []string, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	created, watched = slices.Sorted(slices.Values(s.created)), slices.Sorted(slices.Values(s.watched))
	return created, slices.Compact(watched), s.watches
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestTheControllersWatchLittleMakeWhatIsMissingAndStop(t *testing.T) {
	t.Parallel()
	api := &emptyServer{}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	ca := servingCA(t)
	m, err := New(Config{
		Client:             &rest.Config{Host: server.URL},
		ServingAuthorities: func() ([]byte, error) { return ca, nil },
		CheckPolicyTypes: func(*admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning {
			return nil
		},
		Resources: []Resource{
			{corev1.SchemeGroupVersion.WithResource("pods"), "Pod", true},
			{corev1.SchemeGroupVersion.WithResource("events"), "Event", true},
		},
		ServiceIP:  netip.MustParseAddr("10.0.0.1"),
		SecurePort: 6443,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()

	wantWatched := []string{
		"certificatesigningrequests",
		"clusterroles",
		"clustertrustbundles spec.signerName=kubernetes.io/kube-apiserver-serving",
		"configmaps metadata.name=kube-apiserver-legacy-service-account-token-tracking",
		"configmaps metadata.name=kube-root-ca.crt",
		"leases identity.muster.id/run=true",
		"namespaces",
		"podcertificaterequests",
		"pods",
		"pods identity.muster.id/run=true",
		"secrets type=bootstrap.kubernetes.io/token",
		"serviceaccounts",
		"services metadata.name=kubernetes",
		"tokenrevocations",
		"validatingadmissionpolicies",
	}
	wantCreated := []string{
		"/api/v1/namespaces", "/api/v1/namespaces", "/api/v1/namespaces", "/api/v1/namespaces",
		"/api/v1/namespaces/default/services", "/api/v1/namespaces/kube-system/configmaps",
		"/apis/certificates.k8s.io/v1/clustertrustbundles",
	}
	eventually(t, "everything is watched and made", func() bool {
		created, watched, _ := api.saw()
		return len(created) >= len(wantCreated) && len(watched) >= len(wantWatched)
	})
	created, watched, _ := api.saw()
	if diff := cmp.Diff(wantWatched, watched); diff != "" {
		t.Errorf("watches differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantCreated, created); diff != "" {
		t.Errorf("creations differ (-want +got):\n%s", diff)
	}

	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the end: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the controllers do not stop")
	}
	eventually(t, "no watch is open", func() bool { _, _, open := api.saw(); return open == 0 })
}

func TestSeveralManagersLiveInOneProcess(t *testing.T) {
	t.Parallel()
	for range 2 {
		if _, err := New(Config{Client: &rest.Config{Host: "http://127.0.0.1:1"}, ServiceIP: netip.MustParseAddr("10.0.0.1")}); err != nil {
			t.Error(err)
		}
	}
}
