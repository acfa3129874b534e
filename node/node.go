// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node gives identities to what runs on this machine, as the kubelet does on a node: it has a Pod, asks
// for a token bound to it, keeps the projected volume fresh for as long as the process lives, and takes the
// Pod away with it.
//
// Process is the whole of it for one command; `muster run` fills one in and prints what comes out. How a
// volume lies on disk is left to the room projection; whether a caller may have a Pod or a token, and when a
// Pod whose keeper is gone ends, is decided by the server alone.
//
// A program that runs a Process calls SecondStage first thing in its main function.
package node

import (
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// RunLabel, with RunLabelValue, marks the Pods that stand for a process and the Leases that they live by. A server
	// need not look at others.
	RunLabel      = "identity.muster.id/run"
	RunLabelValue = "true"
	// LeaseAnnotation on a Pod names the Lease, in the Pod's namespace, that the Pod lives by: a server that finds it
	// lapsed, or missing for longer than its duration, deletes the Pod.
	LeaseAnnotation = "identity.muster.id/lease"
)

// sessionAnnotation tells the Pod of this very run from another of the same name.
const sessionAnnotation = "identity.muster.id/session"

// Client reaches the server as the one who runs the process. kubernetes.Interface is one. Calls may overlap.
type Client interface {
	CoreV1() corev1client.CoreV1Interface
	CoordinationV1() coordinationv1client.CoordinationV1Interface
}
