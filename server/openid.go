// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"

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
	jwksURI := options.JWKSURI
	if jwksURI == "" {
		jwksURI = httpsURL(api.ExternalAddress) + keyring.KeySetPath
	}
	publisher, err := keyring.NewPublisher(h.keys, options.Issuers[0], jwksURI)
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
		api.Handler.NonGoRestfulMux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
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
