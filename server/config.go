// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net"
	goruntime "runtime"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	apimachineryversion "k8s.io/apimachinery/pkg/version"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/client-go/rest"
	basecompatibility "k8s.io/component-base/compatibility"

	"github.com/muster-identity/muster/openapi"
	"github.com/muster-identity/muster/registry"
)

// KubernetesVersion is the release whose behaviour Muster has.
const KubernetesVersion = "1.37.2"

// apiConfig is the configuration of the HTTP server, but for its storage.
func (s *Server) apiConfig(h *house, listener net.Listener, resources []registry.Resource, scheme *runtime.Scheme, codecs serializer.CodecFactory) (*genericapiserver.Config, error) {
	o := s.Options
	config := genericapiserver.NewConfig(codecs)
	if err := o.Run.ApplyTo(config); err != nil {
		return nil, fmt.Errorf("applying the options: %w", err)
	}
	config.EffectiveVersion = effectiveVersion{config.EffectiveVersion}
	config.PublicAddress = s.addresses.advertised
	if err := s.secure(h, config, listener); err != nil {
		return nil, err
	}
	if err := o.Features.ApplyTo(config, nil, nil); err != nil {
		return nil, fmt.Errorf("applying the options: %w", err)
	}
	namer := openapinamer.NewDefinitionNamer(scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIConfig.Info.Title = "Kubernetes"
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config.Info.Title = "Kubernetes"
	config.SkipOpenAPIInstallation = true // see installOpenAPI
	config.MergedResourceConfig = everythingEnabled(resources)
	if err := o.Audit.ApplyTo(config); err != nil {
		return nil, fmt.Errorf("setting up the audit log: %w", err)
	}
	if err := h.decide(config); err != nil {
		return nil, err
	}
	return config, nil
}

// everythingEnabled turns on all that the registry has.
func everythingEnabled(resources []registry.Resource) *serverstorage.ResourceConfig {
	enabled := serverstorage.NewResourceConfig()
	enabled.EnableVersions(registry.GroupVersions(resources)...)
	return enabled
}

// secure sets up TLS: the serving certificate, which is read again when its
// files change, and one for the server's calls to itself.
func (s *Server) secure(h *house, config *genericapiserver.Config, listener net.Listener) error {
	secure := *s.Options.SecureServing
	secure.Listener = listener
	files := s.credentials.servingFiles()
	secure.ServerCert.CertKey.CertFile, secure.ServerCert.CertKey.KeyFile = files.cert, files.key
	if err := secure.ApplyTo(&config.SecureServing); err != nil {
		return fmt.Errorf("setting up TLS: %w", err)
	}
	ca, err := h.clientCAs()
	if err != nil {
		return err
	}
	config.SecureServing.ClientCA = ca
	return s.secureLoopback(config)
}

// secureLoopback gives the server's calls to itself a certificate that lives as
// long as the process, chosen by a name that nobody else asks for.
func (s *Server) secureLoopback(config *genericapiserver.Config) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	ca, err := newCA(key, s.Now())
	if err != nil {
		return err
	}
	template := servingTemplate([]string{genericapiserver.LoopbackClientServerNameOverride}, nil, s.Now())
	template.NotAfter = ca.cert.NotAfter
	pair, err := ca.issue(template)
	if err != nil {
		return err
	}
	keyPEM, err := pair.keyPEM()
	if err != nil {
		return err
	}
	sni, err := dynamiccertificates.NewStaticSNICertKeyContent("loopback", pair.certPEM(), keyPEM, genericapiserver.LoopbackClientServerNameOverride)
	if err != nil {
		return fmt.Errorf("setting up TLS: %w", err)
	}
	config.SecureServing.SNICerts = append(config.SecureServing.SNICerts, sni)
	config.LoopbackClientConfig = &rest.Config{
		Host:        s.url,
		BearerToken: uuid.NewString(),
		QPS:         -1,
		TLSClientConfig: rest.TLSClientConfig{
			ServerName: genericapiserver.LoopbackClientServerNameOverride,
			CAData:     ca.certPEM(),
		},
		ContentConfig:      rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf"},
		DisableCompression: true,
	}
	return nil
}

// effectiveVersion reports the Kubernetes release whose behaviour Muster has.
type effectiveVersion struct {
	basecompatibility.EffectiveVersion
}

// Info is what /version answers.
func (v effectiveVersion) Info() *apimachineryversion.Info {
	info := v.EffectiveVersion.Info()
	info.GitVersion = "v" + KubernetesVersion + "+muster"
	// What the libraries were built from says nothing of Muster.
	info.GitCommit, info.GitTreeState, info.BuildDate = "", "", ""
	info.GoVersion = goruntime.Version()
	info.Platform = goruntime.GOOS + "/" + goruntime.GOARCH
	return info
}
