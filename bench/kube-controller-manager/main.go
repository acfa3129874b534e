// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kube-controller-manager is Kubernetes' own, built from its module: without it a kube-apiserver makes no default
// accounts and ends no namespaces, which the conformance suite wants.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // as upstream's main: the JSON log format
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // as upstream's main: metrics of its own clients
	_ "k8s.io/component-base/metrics/prometheus/version"  // as upstream's main: its version as a metric
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	os.Exit(cli.Run(app.NewControllerManagerCommand()))
}
