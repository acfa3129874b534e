// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
)

// recorders write events in the names of components.
type recorders struct {
	sink        record.EventSink
	scheme      *runtime.Scheme
	broadcaster record.EventBroadcaster
}

func newRecorders(config *rest.Config) (*recorders, error) {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for events: %w", err)
	}
	scheme, err := kinds()
	if err != nil {
		return nil, err
	}
	return &recorders{
		sink:   &corev1client.EventSinkImpl{Interface: clients.CoreV1().Events("")},
		scheme: scheme, broadcaster: record.NewBroadcaster(),
	}, nil
}

// as is the recorder of a component.
func (r *recorders) as(component string) record.EventRecorder {
	return r.broadcaster.NewRecorder(r.scheme, corev1.EventSource{Component: component})
}

// start begins to write what is recorded; the returned function ends it.
func (r *recorders) start() (stop func()) {
	r.broadcaster.StartRecordingToSink(r.sink)
	return r.broadcaster.Shutdown
}
