// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, file, content string) {
	t.Helper()
	// Renamed into place, as in a projected volume.
	if err := os.WriteFile(file+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestInAClusterTheServerIsFoundWhereEveryPodFindsIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environment := map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
	getenv := func(name string) string { return environment[name] }

	if s, err := inCluster(func(string) string { return "" }, dir); s != nil || err == nil || !strings.Contains(err.Error(), "KUBERNETES_SERVICE_HOST") {
		t.Errorf("without the environment: %v, error %v", s, err)
	}
	if s, err := inCluster(getenv, dir); s != nil || err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "token")) {
		t.Errorf("without the files: %v, error %v", s, err)
	}
	write(t, filepath.Join(dir, "token"), "x")
	write(t, filepath.Join(dir, "ca.crt"), "x")
	s, err := inCluster(getenv, dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := (APIServer{URL: "https://[fd00::1]:443", TokenFile: filepath.Join(dir, "token"), CAFile: filepath.Join(dir, "ca.crt")}); *s != want {
		t.Errorf("got %+v, want %+v", *s, want)
	}
}

func TestTokenAndAuthoritiesAreReadAnewWhenTheyChange(t *testing.T) {
	t.Parallel()
	newServer := func() *httptest.Server {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Header.Get("Authorization"))
		}))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server
	}
	server := newServer()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	// An authority that has nothing to do with the server's.
	foreign, err := os.ReadFile("testdata/other-ca.crt")
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	s := APIServer{URL: server.URL, TokenFile: filepath.Join(dir, "token"), CAFile: filepath.Join(dir, "ca.crt")}
	write(t, s.TokenFile, "first\n")
	write(t, s.CAFile, authority)
	session, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		got, err := session.do(t.Context(), http.MethodGet, "/", nil)
		switch {
		case want == "" && err == nil:
			t.Error("a server of another authority is trusted")
		case want != "" && err != nil:
			t.Error(err)
		case want != "" && string(got.body) != "Bearer "+want:
			t.Errorf("the server sees %q, want the token %q", got.body, want)
		}
	}
	check("first")
	write(t, s.TokenFile, "second")
	check("second")
	write(t, s.CAFile, "not yet written")
	check("second")
	write(t, s.CAFile, string(foreign))
	check("")
	write(t, s.CAFile, authority+string(foreign))
	check("second")
}

func TestAFileWithoutATokenSendsNothing(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") }))
	defer server.Close()
	for _, content := range []string{"", " \n", "two words", "a\r\nX-Remote-User: admin", "päth"} {
		file := filepath.Join(t.TempDir(), "token")
		write(t, file, content)
		session, err := (&APIServer{URL: server.URL, TokenFile: file, Client: server.Client()}).open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session.do(t.Context(), http.MethodGet, "/", nil); err == nil || !strings.Contains(err.Error(), file) || (content != "" && strings.Contains(err.Error(), "Remote")) {
			t.Errorf("content %q: error %v", content, err)
		}
	}
}
