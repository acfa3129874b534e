// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/muster-identity/muster/access"
)

func newAccessMinimizeCommand() *cobra.Command {
	var (
		since, name string
		logs        []string
		names       bool
	)
	cmd := &cobra.Command{
		Use:   "minimize SUBJECT",
		Short: "Write the roles that are enough for what somebody did",
		Long: `Write the roles that are enough for what somebody did, by an audit log, and their
bindings: a Role for each namespace, a ClusterRole for what is in none. They allow
all that was done and allowed, and nothing else; what every account may do is left
out.

SUBJECT is NAMESPACE/NAME for a service account, user:NAME or group:NAME. The log
is one that the server wrote with --audit-log-path, with every request at the level
Metadata. What the log does not show, because it happens once a year, is missing:
give a log that is long enough.

No server is asked. What is written is for kubectl apply; the bindings that it is
to replace are for you to delete.`,
		Example: `  # What this account needs, by all that it has done
  muster access minimize dev/reporter --audit-log audit.log

  # With the objects that it has asked for by name, put in force at once
  muster access minimize dev/reporter --resource-names --audit-log '/var/log/muster/audit*.log' | kubectl apply -f -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("whose roles? give one SUBJECT: NAMESPACE/NAME for a service account, user:NAME or group:NAME")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			subject, err := access.ParseSubject(args[0])
			if err != nil {
				return err
			}
			if len(logs) == 0 {
				return errors.New("what was done? give --audit-log FILE, the log that the server wrote with --audit-log-path")
			}
			if name == "" {
				name = access.NameForLeast(subject)
			}
			if err := checkRoleName(name); err != nil {
				return err
			}
			usage, err := readUsage(cmd, logs, since, func(string) bool { return names })
			if err != nil {
				return err
			}
			uses := usage.Of(subject)
			if len(uses) == 0 {
				return fmt.Errorf("the audit log does not show that %s did anything that was allowed: is it the right subject, and the right log?", args[0])
			}
			objects := access.Least(subject, name, uses)
			if len(objects) == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "muster: %s did nothing that takes a role: everybody may do all of it\n", args[0])
			}
			return printManifests(cmd.OutOrStdout(), objects)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&logs, "audit-log", nil, "Audit log, a file or a pattern of several, - for standard input; may be repeated.")
	flags.StringVar(&since, "since", "", "Count what was done since this day or time (2026-01-31 or RFC 3339); since the log begins if not given.")
	flags.BoolVar(&names, "resource-names", false, "Allow what was done with single objects for these alone.")
	flags.StringVar(&name, "name", "", "Name of the roles and bindings; one made from SUBJECT if not given.")
	return cmd
}

func checkRoleName(name string) error {
	if faults := content.IsPathSegmentName(name); len(faults) > 0 {
		return fmt.Errorf("--name %q is no name for a role: %s", name, strings.Join(faults, "; "))
	}
	return nil
}

// printManifests writes objects as kubectl apply reads them.
func printManifests(w io.Writer, objects []runtime.Object) error {
	printer := &printers.YAMLPrinter{}
	for _, object := range objects {
		if err := printer.PrintObj(object, w); err != nil {
			return fmt.Errorf("writing the roles: %w", err)
		}
	}
	return nil
}
