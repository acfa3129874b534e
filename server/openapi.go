// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"sync"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
)

// installOpenAPI serves the OpenAPI documents, which are built when somebody
// first asks for them: that takes longer than the rest of a start, and most
// clients never ask.
func installOpenAPI(api *genericapiserver.GenericAPIServer, config *genericapiserver.Config) {
	containers := api.Handler.GoRestfulContainer
	documents := routes.OpenAPI{Config: config.OpenAPIConfig, V3Config: config.OpenAPIV3Config}
	v2 := sync.OnceValue(func() http.Handler {
		paths := mux.NewPathRecorderMux("openapi-v2")
		documents.InstallV2(containers, paths)
		return paths
	})
	v3 := sync.OnceValue(func() http.Handler {
		paths := mux.NewPathRecorderMux("openapi-v3")
		documents.InstallV3(containers, paths)
		return paths
	})
	paths := api.Handler.NonGoRestfulMux
	paths.HandleFunc("/openapi/v2", func(w http.ResponseWriter, r *http.Request) { v2().ServeHTTP(w, r) })
	paths.HandleFunc("/openapi/v3", func(w http.ResponseWriter, r *http.Request) { v3().ServeHTTP(w, r) })
	paths.UnlistedHandlePrefix("/openapi/v3/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { v3().ServeHTTP(w, r) }))
}
