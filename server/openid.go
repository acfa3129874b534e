// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"crypto/x509"
	"net/http"
	"net/url"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/server/hotlane"
)

// installOpenID serves the two documents by which others verify tokens offline.
// An issuer that cannot be discovered by its URL has neither; the reason is
// logged, as in Kubernetes.
func (h *house) installOpenID(api *genericapiserver.GenericAPIServer) {
	options := h.server.Options.ServiceAccounts
	publisher, err := keyring.NewPublisher(h.keys, options.Issuers[0], h.jwksURI(api.ExternalAddress))
	if err != nil {
		klog.InfoS("the issuer of service account tokens cannot be discovered", "reason", err)
		return
	}
	documents := map[string]struct {
		contentType string
		of          func(*keyring.Metadata) []byte
	}{
		keyring.ConfigurationPath: {keyring.ConfigurationType, func(m *keyring.Metadata) []byte { return m.Configuration }},
		keyring.KeySetPath:        {keyring.KeySetType, func(m *keyring.Metadata) []byte { return m.KeySet }},
	}
	for path, document := range documents {
		published := hotlane.Document{
			ContentType:  document.contentType,
			CacheControl: func() string { return keyring.CacheControl(h.keys.MaxAge()) },
			Body: func() ([]byte, error) {
				metadata, err := publisher.Metadata()
				if err != nil {
					return nil, err
				}
				return document.of(metadata), nil
			},
		}
		h.documents[path] = published
		api.Handler.NonGoRestfulMux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				w.Header().Set("Allow", http.MethodGet)
				http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
				return
			}
			body, err := published.Body()
			if err != nil {
				klog.ErrorS(err, "publishing the keys of service account tokens")
				http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", published.ContentType)
			w.Header().Set("Cache-Control", published.CacheControl())
			_, _ = w.Write(body) // the reader has gone
		})
	}
}

// discoveryPaths are those of the two documents.
func discoveryPaths() []string { return []string{keyring.ConfigurationPath, keyring.KeySetPath} }

// jwksURI is the address of the keys: the one given; or, empty, the usual place
// below the issuer, if that is a name of this server, so that whoever finds the
// one document by the issuer's name finds the other by the same; or else, as in
// Kubernetes, at this server's address.
func (h *house) jwksURI(externalAddress string) string {
	options := h.server.Options.ServiceAccounts
	if options.JWKSURI != "" {
		return options.JWKSURI
	}
	if issuer, err := url.Parse(options.Issuers[0]); err == nil && h.server.answersTo(issuer.Hostname()) {
		return ""
	}
	return httpsURL(externalAddress) + keyring.KeySetPath
}

// answersTo tells whether the operator has said that clients reach this server
// by that name or address: --external-hostname, --advertise-address or --tls-san.
// Names match as those of certificates do.
func (s *Server) answersTo(host string) bool {
	names, ips := splitSANs(append([]string{s.Options.Run.ExternalHost}, s.Options.TLSSANs...))
	known := &x509.Certificate{DNSNames: names, IPAddresses: append(ips, s.addresses.advertised)}
	return host != "" && known.VerifyHostname(host) == nil
}
