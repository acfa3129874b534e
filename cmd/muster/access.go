// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/access"
	"github.com/muster-identity/muster/auditlog"
)

func newAccessCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "access",
		Short: "Show, review and narrow what accounts may do",
		Long: `Show, review and narrow what accounts may do.

graph draws who reaches what, review finds what in it does harm or is of no use,
minimize writes the roles that are enough for what somebody did.`,
		Example: `  # Who reaches what in a namespace, as a picture
  muster access graph -n dev -o svg > dev.svg

  # What should not be so
  muster access review

  # The least role that this account needs, by what it did
  muster access minimize dev/reporter --audit-log audit.log`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAccessGraphCommand(), newAccessReviewCommand(), newAccessMinimizeCommand())
	return cmd
}

// readPolicy reads the policy of the server that the kubeconfig says.
func readPolicy(cmd *cobra.Command, kubeconfig, namespace string) (policy *access.Policy, in string, err error) {
	config, in, err := loadKubeconfig(cmd, kubeconfig, namespace)
	if err != nil {
		return nil, "", err
	}
	config.ContentType = runtime.ContentTypeProtobuf
	config.QPS = -1                  // a policy is many pages; the server limits by itself
	config.DisableCompression = true // which takes longer than the way, to most servers
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, "", fmt.Errorf("loading kubeconfig: %w", err)
	}
	policy, err = access.Read(cmd.Context(), client)
	if apierrors.IsForbidden(err) {
		return nil, "", fmt.Errorf("%w; it takes list on clusterroles, roles, clusterrolebindings, rolebindings and serviceaccounts in all namespaces", err)
	}
	return policy, in, err
}

// auditLog is the log of the files that the patterns name. On a terminal it tells
// how far it has been read.
func auditLog(cmd *cobra.Command, patterns []string) (*auditlog.Log, error) {
	log := &auditlog.Log{Stdin: cmd.InOrStdin()}
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("--audit-log %q is no pattern of file names: %w", pattern, err)
		}
		if len(files) == 0 {
			files = []string{pattern} // opening it says what is wrong
		}
		log.Files = append(log.Files, files...)
	}
	if stderr, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(stderr.Fd())) {
		log.Progress = func(file string, read, size int64) {
			if size > 0 {
				fmt.Fprintf(stderr, "\r\x1b[K%s: %d %% read", file, 100*read/size)
			}
			if size == 0 {
				fmt.Fprintf(stderr, "\r\x1b[K%s: %d MiB read", file, read>>20)
			}
		}
	}
	return log, nil
}

// readLog hands every event of a log to handle.
func readLog(cmd *cobra.Command, patterns []string, handle func(*auditv1.Event)) error {
	log, err := auditLog(cmd, patterns)
	if err != nil {
		return err
	}
	err = log.Each(cmd.Context(), func(event *auditv1.Event) error {
		handle(event)
		return nil
	})
	if log.Progress != nil {
		fmt.Fprint(cmd.ErrOrStderr(), "\r\x1b[K")
	}
	return err
}

// readUsage reads from a log what was done since a day or a time; an empty text
// means since its beginning. keep says which names of objects matter.
func readUsage(cmd *cobra.Command, patterns []string, since string, keep func(name string) bool) (*access.Usage, error) {
	from, err := timeOf("--since", since)
	if err != nil {
		return nil, err
	}
	usage := access.NewUsage(keep)
	err = readLog(cmd, patterns, func(event *auditv1.Event) {
		if !event.RequestReceivedTimestamp.Time.Before(from) {
			usage.Add(event)
		}
	})
	if err == nil && usage.From.IsZero() {
		err = errors.New("the audit log has no event of that time: nothing can be said of what was used")
	}
	return usage, err
}

// timeOf reads a day, or a time of RFC 3339.
func timeOf(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s %q is neither a day nor a time: write 2026-01-31 or 2026-01-31T15:04:05Z", flag, text)
}
