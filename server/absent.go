// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// absent are kinds of which there are no objects here, by their resources. Muster
// says so in discovery by not naming them; but some clients ask for their list
// without looking there, and go no further without an answer, which is that
// there are none.
var absent = map[schema.GroupVersionResource]string{
	// kubectl, before it creates an object of a kind that cannot be patched (a TokenReview).
	{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}: "CustomResourceDefinition",

	// kube-scheduler, before it schedules anything. A pod that wants one of these waits for it.
	{Version: "v1", Resource: "persistentvolumeclaims"}:                        "PersistentVolumeClaim",
	{Version: "v1", Resource: "persistentvolumes"}:                             "PersistentVolume",
	{Version: "v1", Resource: "replicationcontrollers"}:                        "ReplicationController",
	{Group: "apps", Version: "v1", Resource: "replicasets"}:                    "ReplicaSet",
	{Group: "apps", Version: "v1", Resource: "statefulsets"}:                   "StatefulSet",
	{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}:         "PodDisruptionBudget",
	{Group: "resource.k8s.io", Version: "v1", Resource: "deviceclasses"}:       "DeviceClass",
	{Group: "resource.k8s.io", Version: "v1", Resource: "devicetaintrules"}:    "DeviceTaintRule",
	{Group: "resource.k8s.io", Version: "v1", Resource: "resourceclaims"}:      "ResourceClaim",
	{Group: "resource.k8s.io", Version: "v1", Resource: "resourceslices"}:      "ResourceSlice",
	{Group: "storage.k8s.io", Version: "v1", Resource: "csidrivers"}:           "CSIDriver",
	{Group: "storage.k8s.io", Version: "v1", Resource: "csinodes"}:             "CSINode",
	{Group: "storage.k8s.io", Version: "v1", Resource: "csistoragecapacities"}: "CSIStorageCapacity",
	{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"}:       "StorageClass",
	{Group: "storage.k8s.io", Version: "v1", Resource: "volumeattachments"}:    "VolumeAttachment",
}

// absentRevision is that of every such list: nothing has ever happened in it.
const absentRevision = "1"

// answerAbsent answers lists and watches of absent kinds, behind authentication
// and authorization, and leaves everything else to the API.
func answerAbsent(config *genericapiserver.Config) {
	build := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		return build(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			info, ok := request.RequestInfoFrom(r.Context())
			if !ok || !info.IsResourceRequest || info.Subresource != "" || info.Name != "" {
				api.ServeHTTP(w, r)
				return
			}
			resource := schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource}
			kind, ok := absent[resource]
			switch {
			case ok && info.Verb == "list":
				listNone(w, resource.GroupVersion(), kind)
			case ok && info.Verb == "watch":
				watchNone(w, r, resource.GroupVersion(), kind)
			default:
				api.ServeHTTP(w, r)
			}
		}), c)
	}
}

func listNone(w http.ResponseWriter, version schema.GroupVersion, kind string) {
	none := metav1.List{
		TypeMeta: metav1.TypeMeta{APIVersion: version.String(), Kind: kind + "List"},
		ListMeta: metav1.ListMeta{ResourceVersion: absentRevision},
		Items:    []runtime.RawExtension{},
	}
	responsewriters.WriteRawJSON(http.StatusOK, none, w)
}

// longestWatch is how long a watch lasts that names no time: the least that
// Kubernetes gives one.
const longestWatch = 30 * time.Minute

// watchNone holds a watch in which nothing happens, until its time is over, its
// client leaves or the server stops. Who wants the initial events gets the end
// of them.
func watchNone(w http.ResponseWriter, r *http.Request, version schema.GroupVersion, kind string) {
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	w.WriteHeader(http.StatusOK)
	if initial, err := strconv.ParseBool(r.URL.Query().Get("sendInitialEvents")); err == nil && initial {
		// An error here is a client that has left.
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "BOOKMARK", "object": metav1.PartialObjectMetadata{
			TypeMeta: metav1.TypeMeta{APIVersion: version.String(), Kind: kind},
			ObjectMeta: metav1.ObjectMeta{
				ResourceVersion: absentRevision,
				Annotations:     map[string]string{metav1.InitialEventsAnnotationKey: "true"},
			},
		}})
	}
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
	lasts := longestWatch
	if seconds, err := strconv.ParseUint(r.URL.Query().Get("timeoutSeconds"), 10, 31); err == nil && seconds > 0 {
		lasts = time.Duration(seconds) * time.Second
	}
	var stopping <-chan struct{}
	if signal := request.ServerShutdownSignalFrom(r.Context()); signal != nil {
		stopping = signal.ShuttingDown()
	}
	end := time.NewTimer(lasts)
	defer end.Stop()
	select {
	case <-end.C:
	case <-r.Context().Done():
	case <-stopping:
	}
}
