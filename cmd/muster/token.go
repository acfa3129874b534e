// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/spf13/cobra"

func newTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Look into service account tokens, and end them",
		Long:  "Look into service account tokens, and end them.",
		Example: `  # What is wrong with this token?
  muster token verify /var/run/secrets/kubernetes.io/serviceaccount/token

  # This token has leaked
  muster token revoke --reason "it was in a log" token.txt`,
	}
	cmd.AddCommand(newTokenVerifyCommand(), newTokenRevokeCommand())
	return cmd
}
