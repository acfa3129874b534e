// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// metricsPath is where metrics are served.
const metricsPath = "/metrics"

// installMetrics serves the metrics of this server beside those of the process,
// which the libraries count for all servers in it.
func (h *house) installMetrics(api *genericapiserver.GenericAPIServer) error {
	own := metrics.NewKubeRegistry()
	for _, counts := range []interface {
		Register(metrics.KubeRegistry) error
	}{h.tokens.Metrics, h.issued, h.kept} {
		if err := counts.Register(own); err != nil {
			return err
		}
	}
	all := metrics.HandlerFor(prometheus.Gatherers{legacyregistry.DefaultGatherer, own}, metrics.HandlerOpts{EnableOpenMetrics: true})
	ofProcess := legacyregistry.HandlerWithReset()
	mux := api.Handler.NonGoRestfulMux
	mux.Unregister(metricsPath)
	mux.HandleFunc(metricsPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete {
			all.ServeHTTP(w, r)
			return
		}
		own.Reset()
		ofProcess.ServeHTTP(w, r)
	})
	return nil
}
