// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/spf13/cobra"

func newTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Look into service account tokens",
		Long:  "Look into service account tokens.",
		Example: `  # What is wrong with this token?
  muster token verify /var/run/secrets/kubernetes.io/serviceaccount/token`,
	}
	cmd.AddCommand(newTokenVerifyCommand())
	return cmd
}
