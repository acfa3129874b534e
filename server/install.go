// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/muster-identity/muster/registry"
)

// build makes the storage of all resources, by the versions of the groups that
// serve them. The main storages go into all as soon as they exist.
func build(resources []registry.Resource, env registry.Environment, all stores) (map[schema.GroupVersion]map[string]rest.Storage, error) {
	groups := map[schema.GroupVersion]map[string]rest.Storage{}
	for _, resource := range resources {
		made, err := resource.Storage(env)
		if err != nil {
			return nil, err
		}
		name := resource.GroupVersionResource()
		version := name.GroupVersion()
		if groups[version] == nil {
			groups[version] = map[string]rest.Storage{}
		}
		for path, storage := range made {
			groups[version][path] = storage
		}
		all[name.GroupResource()] = made[name.Resource]
	}
	return groups, nil
}

// install serves the groups, in the order of versions. The core group is served below /api, all others
// below /apis.
func install(server *genericapiserver.GenericAPIServer, scheme *runtime.Scheme, codecs serializer.CodecFactory, versions []schema.GroupVersion, groups map[schema.GroupVersion]map[string]rest.Storage) error {
	parameters := runtime.NewParameterCodec(scheme)
	var named []*genericapiserver.APIGroupInfo
	infos := map[string]*genericapiserver.APIGroupInfo{}
	for i, version := range versions {
		// The list of groups keeps their order by itself; the aggregated one,
		// which clients ask for, sorts by these priorities.
		server.AggregatedDiscoveryGroupManager.SetGroupVersionPriority(metav1.GroupVersion(version), len(versions)-i, 1)
		if info, ok := infos[version.Group]; ok {
			info.VersionedResourcesStorageMap[version.Version] = groups[version]
			continue
		}
		info := genericapiserver.NewDefaultAPIGroupInfo(version.Group, scheme, parameters, codecs)
		if registry.JSONOnly(version.Group) {
			info.NegotiatedSerializer = withoutProtobuf{codecs}
		}
		info.VersionedResourcesStorageMap[version.Version] = groups[version]
		infos[version.Group] = &info
		if version.Group != "" {
			named = append(named, &info)
		}
	}
	if err := server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, infos[""]); err != nil {
		return fmt.Errorf("serving the core group: %w", err)
	}
	if err := server.InstallAPIGroups(named...); err != nil {
		return fmt.Errorf("serving the API groups: %w", err)
	}
	return nil
}

// withoutProtobuf keeps clients from asking for an encoding that the types do
// not have: who would take another gets that, as for a custom resource.
type withoutProtobuf struct{ runtime.NegotiatedSerializer }

// SupportedMediaTypes are what clients may choose from.
func (w withoutProtobuf) SupportedMediaTypes() []runtime.SerializerInfo {
	return slices.DeleteFunc(slices.Clone(w.NegotiatedSerializer.SupportedMediaTypes()), func(info runtime.SerializerInfo) bool {
		return info.MediaType == runtime.ContentTypeProtobuf
	})
}
