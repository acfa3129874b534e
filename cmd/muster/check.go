// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-identity/muster/check"
)

// somethingFound is the exit code of a check that has findings.
const somethingFound = 2

func newCheckCommand() *cobra.Command {
	var (
		kubeconfig, output string
		logs               []string
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find what an administrator should know of a running server",
		Long: `Find what an administrator should know of a running server, each with the object
and the mend:

  legacy-token       tokens of Secrets, which have no end, that are in use
  mountable-secrets  accounts with the annotation kubernetes.io/enforce-mountable-secrets
  unused-token       pods with a token that they have never used
  stale-token        users of tokens that they should have renewed, and that are
                     refused when they are a year old
  stuck-namespace    namespaces in deletion, and what is left of them

An audit log is one that the server wrote with --audit-log-path, with every request
at the level Metadata; may be compressed with gzip, and - is standard input. Without
one unused-token is not checked, stale-token is a number, and legacy-token does not
say who.

The exit code is 0 if nothing was found, 2 if something was, and 1 if it could not
be looked for everywhere. The caller must be allowed to list secrets, serviceaccounts, pods and
namespaces everywhere, and to get /metrics; what they may not read is named on
standard error and not checked. It is whoever the kubeconfig says, as with muster run.`,
		Example: `  # What should I know?
  muster check

  # Who uses which token, by what they did
  muster check --audit-log /var/log/muster/audit.log

  # For a program
  muster check -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" && output != "yaml" {
				return fmt.Errorf("-o %q is no format: json or yaml, or nothing for a table", output)
			}
			config, _, err := loadKubeconfig(cmd, kubeconfig, "")
			if err != nil {
				return err
			}
			uses, err := readUses(cmd, logs)
			if err != nil {
				return err
			}
			state, err := check.Read(cmd.Context(), config)
			if err != nil {
				return fmt.Errorf("reading the server: %w", err)
			}
			report := check.Run(state, uses, time.Now())
			if err := printReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), report, output); err != nil {
				return err
			}
			switch {
			case len(report.Findings) > 0:
				return exitError{somethingFound}
			case len(state.Omissions) > 0:
				return exitError{1} // why has been said
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&logs, "audit-log", nil, "Audit log that tells who uses which token, a file or a pattern of several; may be repeated.")
	flags.StringVarP(&output, "output", "o", "", "Format of the answer: json or yaml, or a table if not given.")
	flags.StringVar(&kubeconfig, "kubeconfig", "", "Kubeconfig of the caller.")
	return cmd
}

// readUses reads what the logs show; nil without logs.
func readUses(cmd *cobra.Command, patterns []string) (*check.Uses, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	uses := check.NewUses()
	err := readLog(cmd, patterns, uses.Add)
	if err == nil && uses.From.IsZero() {
		err = errors.New("the audit log has no event: nothing can be said of what was used")
	}
	return uses, err
}

// printReport writes the findings, and what was not checked beside them.
func printReport(out, notes io.Writer, report *check.Report, format string) error {
	if format != "" {
		return printDocument(out, report, format)
	}
	for _, omission := range report.Omissions {
		fmt.Fprintf(notes, "muster: not checked: %s: %s\n", omission.Check, omission.Why)
	}
	if len(report.Findings) == 0 {
		_, err := fmt.Fprintln(out, "nothing found")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "CHECK\tOBJECT\tSINCE\tFINDING\tMEND")
	for _, f := range report.Findings {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", f.Check, f.Object, moment(f.Since), f.Says, f.Mend)
	}
	return table.Flush()
}
