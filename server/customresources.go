// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// customResources is where Kubernetes lists the definitions of custom resources.
const customResources = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// installCustomResources answers that there are no custom resources. Muster has
// none, and says so in discovery by not naming the group. But kubectl asks this
// list without looking there, before it creates an object of a kind that cannot
// be patched (a TokenReview), and gives up if it gets no answer.
func installCustomResources(api *genericapiserver.GenericAPIServer) {
	none := metav1.List{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinitionList"},
		Items:    []runtime.RawExtension{},
	}
	api.Handler.NonGoRestfulMux.HandleFunc(customResources, func(w http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodGet || request.URL.Query().Has("watch") {
			http.Error(w, "there are no custom resources here", http.StatusMethodNotAllowed)
			return
		}
		responsewriters.WriteRawJSON(http.StatusOK, none, w)
	})
}
