// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func TestDeputyRenewsAtOnceAsTheCaller(t *testing.T) {
	t.Parallel()
	requests := make(chan string, 16)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		requests <- fmt.Sprintf("%s %s as %s", r.Method, r.URL.Path, user)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease"}`)
	}))
	defer server.Close()
	config := &rest.Config{
		Host: server.URL, Username: "caller", Password: "x",
		TLSClientConfig: rest.TLSClientConfig{CAData: certificateOf(server)},
	}
	l := &lease{pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "me"}}}
	runtime.LockOSThread() // the deputy's life
	defer runtime.UnlockOSThread()
	relieve, err := l.deputise(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer relieve()
	select {
	case got := <-requests:
		want := "PATCH /apis/coordination.k8s.io/v1/namespaces/dev/leases/me as caller"
		if got != want {
			t.Errorf("the deputy asked %s, want %s", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the deputy does nothing")
	}
}

func certificateOf(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func TestDeputyIsToldAllThatAKubeconfigCanSay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "any")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]*rest.Config{
		"certificate": {Host: "https://muster.test", TLSClientConfig: rest.TLSClientConfig{
			ServerName: "other", CAData: []byte("ca"), CertData: []byte("cert"), KeyData: []byte("key"),
		}},
		"files": {Host: "https://muster.test", BearerToken: "x", BearerTokenFile: file, TLSClientConfig: rest.TLSClientConfig{
			CAFile: file, CertFile: file, KeyFile: file,
		}},
		"token": {Host: "https://muster.test/below", BearerToken: "x", TLSClientConfig: rest.TLSClientConfig{Insecure: true}},
		"somebody else": {Host: "https://muster.test", Username: "u", Password: "p", Impersonate: rest.ImpersonationConfig{
			UserName: "a", UID: "b", Groups: []string{"c"}, Extra: map[string][]string{"d": {"e"}},
		}},
		"program": {Host: "https://muster.test", ExecProvider: &clientcmdapi.ExecConfig{
			APIVersion: "client.authentication.k8s.io/v1", Command: "login", Args: []string{"now"},
			InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		}},
	} {
		kubeconfig, err := callersKubeconfig(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(rest.Config{}, clientcmdapi.ExecConfig{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
