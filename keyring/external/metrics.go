// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	basemetrics "k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// metrics have the names, labels and help of Kubernetes.
// Kubernetes: pkg/serviceaccount/externaljwt/metrics/metrics.go.
type metrics struct {
	fetchSuccess, fetchData *basemetrics.GaugeVec
	fetches, signs          *basemetrics.CounterVec
	duration                *basemetrics.HistogramVec
}

// processMetrics are those of the process, in its registry, which has one of
// each name, however many signers there are.
var processMetrics = sync.OnceValue(func() *metrics {
	m := newMetrics()
	legacyregistry.MustRegister(m.fetchSuccess, m.fetchData, m.fetches, m.signs, m.duration)
	return m
})

func newMetrics() *metrics {
	const namespace, subsystem = "apiserver", "externaljwt"
	gauge := func(name, help string) *basemetrics.GaugeVec {
		return basemetrics.NewGaugeVec(&basemetrics.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, StabilityLevel: basemetrics.ALPHA,
		}, nil)
	}
	counter := func(name, help string) *basemetrics.CounterVec {
		return basemetrics.NewCounterVec(&basemetrics.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, StabilityLevel: basemetrics.ALPHA,
		}, []string{"code"})
	}
	return &metrics{
		fetchSuccess: gauge("fetch_keys_success_timestamp", "Unix Timestamp in seconds of the last successful FetchKeys request"),
		fetchData:    gauge("fetch_keys_data_timestamp", "Unix Timestamp in seconds of the last successful FetchKeys data_timestamp value returned by the external signer"),
		fetches:      counter("fetch_keys_request_total", "Total attempts at syncing supported JWKs"),
		signs:        counter("sign_request_total", "Total attempts at signing JWT"),
		duration: basemetrics.NewHistogramVec(&basemetrics.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "request_duration_seconds", StabilityLevel: basemetrics.ALPHA,
			Help:    "Request duration and time for calls to external-jwt-signer",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "code"}),
	}
}

func (m *metrics) fetched(err error) {
	m.fetches.WithLabelValues(code(err)).Inc()
	if err == nil {
		m.fetchSuccess.WithLabelValues().SetToCurrentTime()
	}
}

func (m *metrics) keysAsOf(at time.Time) {
	m.fetchData.WithLabelValues().Set(float64(at.UnixNano()) / float64(time.Second))
}

func (m *metrics) signed(err error) { m.signs.WithLabelValues(code(err)).Inc() }

// observe is a gRPC interceptor that takes the time of calls.
func (m *metrics) observe(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	start := time.Now()
	err := invoke(ctx, method, request, reply, connection, options...)
	m.duration.WithLabelValues(method, code(err)).Observe(time.Since(start).Seconds())
	return err
}

// code is the label for the outcome of a call.
func code(err error) string {
	if err == nil {
		return codes.OK.String()
	}
	var rpc interface{ GRPCStatus() *status.Status }
	if errors.As(err, &rpc) {
		return rpc.GRPCStatus().Code().String()
	}
	return "unknown-non-grpc" // the call went well, the answer was not
}
