// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubectl is the kubectl of the pinned module k8s.io/kubectl, unmodified: the same command tree, plugin
// handling, logging and credential plugins as the released binary. The end-to-end scripts and the demo run it, so that
// they meet Muster as any user's client would, without a download. It is the only package that may import k8s.io/kubectl.
package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // the credential plugins a kubeconfig may name
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	// Plugins and .kuberc are read while the command tree is built, before any flag is parsed: to see that logged, the
	// verbosity must be set ahead of it. A bad value is reported by the flag parser afterwards.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
