// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func TestEnvironmentNamesTheServer(t *testing.T) {
	t.Parallel()
	for host, want := range map[string][2]string{
		"https://10.0.0.1:6443":      {"10.0.0.1", "6443"},
		"https://muster.test":        {"muster.test", "443"},
		"https://[fd00::1]:6443/way": {"fd00::1", "6443"},
		"http://localhost:8080":      {"localhost", "8080"},
	} {
		server, err := serverURL(&rest.Config{Host: host})
		if err != nil {
			t.Fatal(err)
		}
		got := environment(server, "/k")
		expected := []string{"KUBERNETES_SERVICE_HOST=" + want[0], "KUBERNETES_SERVICE_PORT=" + want[1], "KUBECONFIG=/k"}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("%s:\n%s", host, diff)
		}
	}
}

func TestKubeconfigLeadsToTheSameServer(t *testing.T) {
	t.Parallel()
	proxy, err := url.Parse("http://proxy.test:3128")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		config rest.Config
		hasCA  bool
		caFile string
	}{
		"with a CA":    {rest.Config{Host: "https://muster.test/way", TLSClientConfig: rest.TLSClientConfig{ServerName: "inner"}, Proxy: http.ProxyURL(proxy)}, true, "/v/ca.crt"},
		"system roots": {rest.Config{Host: "https://muster.test/way"}, false, ""},
		"insecure":     {rest.Config{Host: "https://muster.test/way", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, true, ""},
	} {
		server, err := serverURL(&test.config)
		if err != nil {
			t.Fatal(err)
		}
		data, err := kubeconfigFor(&test.config, server, "dev", "/v", test.hasCA)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := clientcmd.Load(data)
		if err != nil {
			t.Fatal(err)
		}
		cluster, user := loaded.Clusters["muster"], loaded.AuthInfos["muster"]
		if cluster.Server != "https://muster.test/way" || cluster.CertificateAuthority != test.caFile ||
			cluster.TLSServerName != test.config.ServerName || cluster.InsecureSkipTLSVerify != test.config.Insecure ||
			(cluster.ProxyURL != "") != (test.config.Proxy != nil) || user.TokenFile != "/v/token" {
			t.Errorf("%s: %+v, token file %q", name, cluster, user.TokenFile)
		}
	}
}
