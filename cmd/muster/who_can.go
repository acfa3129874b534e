// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/muster-identity/muster/access"
	"github.com/muster-identity/muster/rbac"
)

func newWhoCanCommand() *cobra.Command {
	var (
		q      question
		output string
	)
	cmd := &cobra.Command{
		Use:   "who-can VERB RESOURCE[/NAME]",
		Short: "List who may do something, and by which binding",
		Long: `List who may do something, and by which binding and role: users, groups and service
accounts that roles and bindings allow it. What other authorizers allow (nodes,
webhooks), and that members of system:masters may do everything, is not in it.

RESOURCE is named as with kubectl (pods, po, jobs.batch), or is a path of the
server, such as /metrics.

The caller must be allowed to list roles, bindings and serviceaccounts in all
namespaces. It is whoever the kubeconfig says, as with muster run.`,
		Example: `  # Who reads Secrets in dev?
  muster who-can get secrets -n dev

  # Who requests tokens of this account?
  muster who-can create serviceaccounts/reporter --subresource token -n dev

  # Who lists pods in all namespaces, with the rules, for a program?
  muster who-can list pods -A -o json`,
		Args: twoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(output, "json", "yaml", "wide"); err != nil {
				return err
			}
			q.verb, q.target = args[0], args[1]
			asked, err := q.ask(cmd)
			if err != nil {
				return err
			}
			grants := asked.index.WhoCan(asked.namespace, asked.Request)
			if len(grants) == 0 && (output == "" || output == "wide") {
				fmt.Fprintf(cmd.ErrOrStderr(), "muster: nobody is allowed to %s\n", sentence(asked.Request, asked.namespace))
				return nil
			}
			return printGrants(cmd.OutOrStdout(), grants, output)
		},
	}
	q.addFlags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "Format of the answer: json, yaml, wide (a table with the rules), or a table if not given.")
	return cmd
}

func twoArguments(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%d arguments: give VERB and RESOURCE, as in get pods", len(args))
	}
	return nil
}

func checkFormat(output string, formats ...string) error {
	if output == "" {
		return nil
	}
	for _, format := range formats {
		if output == format {
			return nil
		}
	}
	return fmt.Errorf("-o %q is no format: %s, or nothing for text", output, strings.Join(formats, ", "))
}

// asked is a question with all that answers it.
type asked struct {
	rbac.Request
	namespace string
	client    kubernetes.Interface
	policy    *access.Policy
	index     *rbac.Index
}

// ask reads the policy and finds out what the question is about.
func (q *question) ask(cmd *cobra.Command) (*asked, error) {
	client, err := clientFor(cmd, q.kubeconfig)
	if err != nil {
		return nil, err
	}
	policy, namespace, err := readPolicy(cmd, q.kubeconfig, q.namespace)
	if err != nil {
		return nil, err
	}
	request, namespace, err := q.request(client.Discovery(), namespace, func(text string) { fmt.Fprintf(cmd.ErrOrStderr(), "muster: %s\n", text) })
	if err != nil {
		return nil, err
	}
	return &asked{request, namespace, client, policy, policy.Index()}, nil
}

func printGrants(w io.Writer, grants []rbac.Grant, format string) error {
	if format == "json" || format == "yaml" {
		if grants == nil {
			grants = []rbac.Grant{}
		}
		return printDocument(w, map[string][]rbac.Grant{"grants": grants}, format)
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	header := "KIND\tNAMESPACE\tNAME\tBINDING\tROLE"
	if format == "wide" {
		header += "\tRULE"
	}
	fmt.Fprintln(table, header)
	for _, g := range grants {
		line := strings.Join([]string{g.Subject.Kind, orNone(g.Subject.Namespace), g.Subject.Name, g.Binding.String(), g.Role.String()}, "\t")
		if format == "wide" {
			line += "\t" + access.RuleText(g.Rule)
		}
		fmt.Fprintln(table, line)
	}
	return table.Flush()
}

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// printDocument writes an answer for programs.
func printDocument(w io.Writer, answer any, format string) error {
	text, err := json.MarshalIndent(answer, "", "  ")
	if err == nil && format == "yaml" {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	_, err = fmt.Fprintln(w, strings.TrimSuffix(string(text), "\n"))
	return err
}
