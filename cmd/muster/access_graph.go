// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/muster-identity/muster/access"
)

func newAccessGraphCommand() *cobra.Command {
	var kubeconfig, namespace, who, output string
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "Draw who reaches what in a namespace",
		Long: `Draw who reaches what in a namespace: its accounts and others who are bound there,
the bindings, their roles, and what these allow. What everybody may do from the
start is left out.

The formats are dot, for Graphviz, mermaid, for Markdown, and svg, a picture that
browsers show.

The caller must be allowed to list roles, bindings and serviceaccounts in all
namespaces. It is whoever the kubeconfig says, as with muster run.`,
		Example: `  # A picture of a namespace
  muster access graph -n dev -o svg > dev.svg

  # What one account reaches there, for Graphviz
  muster access graph -n dev --subject dev/reporter -o dot`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var subject *rbacv1.Subject
			if who != "" {
				s, err := access.ParseSubject(who)
				if err != nil {
					return fmt.Errorf("--subject: %w", err)
				}
				subject = &s
			}
			policy, namespace, err := readPolicy(cmd, kubeconfig, namespace)
			if err != nil {
				return err
			}
			return access.Draw(cmd.OutOrStdout(), policy.Graph(namespace, subject), output)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&namespace, "namespace", "n", "", "Namespace to draw; that of the kubeconfig's context if not given.")
	flags.StringVar(&who, "subject", "", "Draw what this one reaches alone: NAMESPACE/NAME for a service account, user:NAME or group:NAME.")
	flags.StringVarP(&output, "output", "o", "mermaid", "Format of the picture: dot, mermaid or svg.")
	flags.StringVar(&kubeconfig, "kubeconfig", "", "Kubeconfig of the caller.")
	return cmd
}
