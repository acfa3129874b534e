// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kube-scheduler is Kubernetes' own, built from its module: it binds the pods of a server that its own controllers are
// attached to.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // as upstream's main: the JSON log format
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // as upstream's main: metrics of its own clients
	_ "k8s.io/component-base/metrics/prometheus/version"  // as upstream's main: its version as a metric
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	os.Exit(cli.Run(app.NewSchedulerCommand()))
}
