// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	genericapiserver "k8s.io/apiserver/pkg/server"
	etcd3metrics "k8s.io/apiserver/pkg/storage/etcd3/metrics"
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

// forgetStorage keeps the metrics of the process from asking a store that is closed:
// each scrape would wait for it, that of another server as well. They are about the
// server that was started last, and are left out until one is started again.
func forgetStorage() {
	etcd3metrics.SetStorageMonitorGetter(func() ([]etcd3metrics.Monitor, error) { return nil, nil })
}
