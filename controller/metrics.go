// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/component-base/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Metrics count what the controllers do, under Kubernetes' names. They count from
// when they are registered.
type Metrics struct {
	// rootCA and trustBundle are of the publishers of certificates
	// (pkg/controller/certificates/{rootcacertpublisher,clustertrustbundlepublisher}/metrics.go).
	rootCA, trustBundle *syncs
	// endedPods are the pods that were deleted by force, endedPodErrors those that
	// were not, in vain (pkg/controller/podgc/metrics/metrics.go).
	endedPods, endedPodErrors *metrics.CounterVec
	// garbageUnsynced counts the times that garbage collection waited in vain for
	// its watches (pkg/controller/garbagecollector/metrics/metrics.go).
	garbageUnsynced *metrics.Counter
}

// syncs count the steps of a controller by their outcome, and the time they take.
type syncs struct {
	total    *metrics.CounterVec
	duration *metrics.HistogramVec
}

// NewMetrics makes the metrics of one server.
func NewMetrics() *Metrics {
	pods := func(name, help string) *metrics.CounterVec {
		return metrics.NewCounterVec(&metrics.CounterOpts{
			Subsystem: "pod_gc_collector", Name: name, Help: help, StabilityLevel: metrics.ALPHA,
		}, []string{"namespace", "reason"})
	}
	return &Metrics{
		rootCA: newSyncs("root_ca_cert_publisher", "Number of namespace syncs happened in root ca cert publisher.",
			"Number of namespace syncs happened in root ca cert publisher."),
		trustBundle: newSyncs("clustertrustbundle_publisher", "Number of syncs that occurred in cluster trust bundle publisher.",
			"The time it took to sync a cluster trust bundle."),
		endedPods:      pods("force_delete_pods_total", "Number of pods that are being forcefully deleted since the Pod GC Controller started."),
		endedPodErrors: pods("force_delete_pod_errors_total", "Number of errors encountered when forcefully deleting the pods since the Pod GC Controller started."),
		garbageUnsynced: metrics.NewCounter(&metrics.CounterOpts{
			Subsystem: "garbagecollector_controller", Name: "resources_sync_error_total",
			Help: "Number of garbage collector resources sync errors", StabilityLevel: metrics.ALPHA,
		}),
	}
}

func newSyncs(subsystem, total, duration string) *syncs {
	return &syncs{
		total: metrics.NewCounterVec(&metrics.CounterOpts{
			Subsystem: subsystem, Name: "sync_total", Help: total, StabilityLevel: metrics.ALPHA,
		}, []string{"code"}),
		duration: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Subsystem: subsystem, Name: "sync_duration_seconds", Help: duration, StabilityLevel: metrics.ALPHA,
			Buckets: metrics.ExponentialBuckets(0.001, 2, 15),
		}, []string{"code"}),
	}
}

// Register adds the metrics to those of a server.
func (m *Metrics) Register(registry metrics.KubeRegistry) error {
	for _, metric := range []metrics.Registerable{
		m.rootCA.total, m.rootCA.duration, m.trustBundle.total, m.trustBundle.duration,
		m.endedPods, m.endedPodErrors, m.garbageUnsynced,
	} {
		if err := registry.Register(metric); err != nil {
			return fmt.Errorf("registering the metric %s: %w", metric.FQName(), err)
		}
	}
	return nil
}

// of counts the steps of r.
func (s *syncs) of(r reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		start := time.Now()
		result, err := r.Reconcile(ctx, request)
		code := outcome(err)
		s.duration.WithLabelValues(code).Observe(time.Since(start).Seconds())
		s.total.WithLabelValues(code).Inc()
		return result, err
	})
}

// outcome is the label for how a step went: as the answer of a server.
func outcome(err error) string {
	if err == nil {
		return strconv.Itoa(http.StatusOK)
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) && status.Status().Code != 0 {
		return strconv.Itoa(int(status.Status().Code))
	}
	return strconv.Itoa(http.StatusInternalServerError)
}
