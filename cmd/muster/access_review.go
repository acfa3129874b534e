// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/muster-identity/muster/access"
)

func newAccessReviewCommand() *cobra.Command {
	var (
		kubeconfig, since, output, failOn string
		logs                              []string
	)
	cmd := &cobra.Command{
		Use:   "review",
		Short: "Find what in roles and bindings does harm or is of no use",
		Long: `Find what in roles and bindings does harm or is of no use, the worst first, each
with the object and the mend:

  critical, high  accounts that can become others or give themselves rights, that
                  change what others write; bindings to everybody
  medium          asterisks; rights of default accounts; bindings to accounts and
                  roles that do not exist
  low             rights that an audit log does not show to have been used
  info            roles that nobody is bound to

What exists from the start is no finding, but what somebody has added to it is.

An audit log is one that the server wrote with --audit-log-path, with every request
at the level Metadata; may be compressed with gzip, and - is standard input.

The caller must be allowed to list roles, bindings and serviceaccounts in all
namespaces. It is whoever the kubeconfig says, as with muster run.`,
		Example: `  # What should not be so
  muster access review

  # What nobody has needed this year
  muster access review --audit-log '/var/log/muster/audit*.log' --since 2026-01-01

  # In a pipeline: fail if there is something bad, and tell a program what
  muster access review --fail-on high -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			least, err := checkReviewFlags(output, failOn, since, logs)
			if err != nil {
				return err
			}
			policy, _, err := readPolicy(cmd, kubeconfig, "")
			if err != nil {
				return err
			}
			var usage *access.Usage
			if len(logs) > 0 {
				if usage, err = readUsage(cmd, logs, since, policy.Names().Has); err != nil {
					return err
				}
			}
			findings := access.Review(policy, usage)
			if err := printFindings(cmd.OutOrStdout(), findings, output); err != nil {
				return err
			}
			if failOn != "" && len(findings) > 0 && findings[0].Severity >= least {
				return exitError{1}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&logs, "audit-log", nil, "Audit log to find unused rights by, a file or a pattern of several; may be repeated.")
	flags.StringVar(&since, "since", "", "With --audit-log: count what was done since this day or time (2026-01-31 or RFC 3339); since the log begins if not given.")
	flags.StringVarP(&output, "output", "o", "", "Format of the answer: json or yaml, or text if not given.")
	flags.StringVar(&failOn, "fail-on", "", "Exit with 1 if there is a finding of this severity (info, low, medium, high, critical) or a worse one.")
	flags.StringVar(&kubeconfig, "kubeconfig", "", "Kubeconfig of the caller.")
	return cmd
}

func checkReviewFlags(output, failOn, since string, logs []string) (least access.Severity, err error) {
	if err := checkFormat(output, "json", "yaml"); err != nil {
		return 0, err
	}
	if since != "" && len(logs) == 0 {
		return 0, errors.New("--since goes with --audit-log: it takes a log to tell what was used")
	}
	if failOn == "" {
		return 0, nil
	}
	if least, err = access.ParseSeverity(failOn); err != nil {
		return 0, fmt.Errorf("--fail-on: %w", err)
	}
	return least, nil
}

// printFindings writes a block for each finding: what is said, of what, and the
// mend.
func printFindings(w io.Writer, findings []access.Finding, format string) error {
	if format != "" {
		if findings == nil {
			findings = []access.Finding{}
		}
		return printDocument(w, map[string][]access.Finding{"findings": findings}, format)
	}
	if len(findings) == 0 {
		_, err := fmt.Fprintln(w, "nothing found")
		return err
	}
	for _, f := range findings {
		about := f.Object.String()
		if f.Role != nil {
			about += " of " + f.Role.String()
		}
		if len(f.Subjects) > 0 {
			about += " to " + strings.Join(f.Subjects, ", ")
		}
		if _, err := fmt.Fprintf(w, "%-8s %s\n         %s\n         mend: %s\n", strings.ToUpper(f.Severity.String()), about, f.Says, f.Mend); err != nil {
			return err
		}
	}
	return nil
}
