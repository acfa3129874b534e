// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package mustertest_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/mustertest"
)

// bodyTypes are those in which a TokenRequest may come.
var bodyTypes = []string{"application/json", "application/vnd.kubernetes.protobuf", "application/yaml"}

// Whatever the body of a TokenRequest is, the answer is a token or says what is wrong with the body: never that something is
// wrong with the server.
func FuzzTokenRequestBodies(f *testing.F) {
	muster := mustertest.Start(f)
	muster.ServiceAccount("default", "reporter")
	client, err := rest.HTTPClientFor(muster.Admin())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.CloseIdleConnections)
	seeds, err := filepath.Glob("../issuer/testdata/*.json")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no requests to begin with: %v", err)
	}
	for _, path := range seeds {
		body, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(0), body)
	}
	for _, request := range requests() {
		for i, contentType := range bodyTypes {
			f.Add(uint8(i), encodedAs(f, contentType, request))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		url := muster.URL() + "/api/v1/namespaces/default/serviceaccounts/reporter/token"
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", bodyTypes[int(kind)%len(bodyTypes)])
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode >= 500 {
			t.Errorf("%s for a body in %s", response.Status, request.Header.Get("Content-Type"))
		}
	})
}

// requests are good and bad in most of the ways there are.
func requests() []*authenticationv1.TokenRequest {
	huge, negative := int64(1<<62), int64(-1<<63)
	bound := func(kind, name, uid string) authenticationv1.TokenRequestSpec {
		return authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: kind, Name: name, UID: types.UID(uid),
		}}
	}
	named := &authenticationv1.TokenRequest{}
	named.Name, named.Namespace, named.UID = "another", "elsewhere", "none"
	all := []*authenticationv1.TokenRequest{{}, named}
	for _, spec := range []authenticationv1.TokenRequestSpec{
		{ExpirationSeconds: &huge},
		{ExpirationSeconds: &negative},
		{Audiences: []string{"", "\x00", "a"}},
		{BoundObjectRef: &authenticationv1.BoundObjectReference{}},
		bound("Pod", "..", ""),
		bound("Pod", "a/b", "x"),
		bound("Secret", "\xff", ""),
		bound("Node", "%00", "\x00"),
		bound("ConfigMap", "a", ""),
	} {
		all = append(all, &authenticationv1.TokenRequest{Spec: spec})
	}
	return all
}

// encodedAs is a request as a body of a type.
func encodedAs(f *testing.F, contentType string, request *authenticationv1.TokenRequest) []byte {
	f.Helper()
	info, ok := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), contentType)
	if !ok {
		f.Fatalf("no encoder for %s", contentType)
	}
	body, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, authenticationv1.SchemeGroupVersion), request)
	if err != nil {
		f.Fatal(err)
	}
	return body
}
