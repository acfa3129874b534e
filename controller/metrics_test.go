// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestStepsAreCountedByTheirOutcome(t *testing.T) {
	t.Parallel()
	conflict := apierrors.NewConflict(corev1.Resource("configmaps"), "c", errors.New("changed"))
	counts := NewMetrics()
	if err := counts.Register(metrics.NewKubeRegistry()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		code  string
		fails error
	}{{"200", nil}, {"409", fmt.Errorf("publishing: %w", conflict)}, {"500", errors.New("no connection")}} {
		_, err := counts.rootCA.of(reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			return reconcile.Result{}, test.fails
		})).Reconcile(t.Context(), reconcile.Request{})
		if !errors.Is(err, test.fails) {
			t.Errorf("the step has the error %v, want %v", err, test.fails)
		}
		if got, err := testutil.GetCounterMetricValue(counts.rootCA.total.WithLabelValues(test.code)); err != nil || got != 1 {
			t.Errorf("%s is counted %v times (%v)", test.code, got, err)
		}
		if got, err := testutil.GetHistogramMetricCount(counts.rootCA.duration.WithLabelValues(test.code)); err != nil || got != 1 {
			t.Errorf("%s is timed %v times (%v)", test.code, got, err)
		}
	}
}

func TestGarbageThatCannotBeWatchedIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		scheme := metadatafake.NewTestScheme()
		client := metadatafake.NewSimpleMetadataClient(scheme)
		ctx, stop := context.WithCancel(t.Context())
		client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			<-ctx.Done()
			return true, nil, ctx.Err()
		})
		counts := NewMetrics()
		if err := counts.Register(metrics.NewKubeRegistry()); err != nil {
			t.Fatal(err)
		}
		g := newGarbageCollection(client, []Resource{{corev1.SchemeGroupVersion.WithResource("pods"), "Pod", true}}, nil, counts)
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[identity]())
		defer queue.ShutDown()
		g.queue <- queue
		ended := make(chan error)
		go func() { ended <- g.feed(ctx) }()
		time.Sleep(2*garbagePatience + time.Second)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got, err := testutil.GetCounterMetricValue(counts.garbageUnsynced); err != nil || got != 2 {
			t.Errorf("counted %v times after %s (%v)", got, 2*garbagePatience, err)
		}
	})
}
