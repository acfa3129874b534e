// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/muster-identity/muster/node"
)

// exitError ends muster with the exit code of the command that it ran, and says nothing.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// ExitCode is between 1 and 255.
func (e exitError) ExitCode() int { return e.code }

func newRunCommand() *cobra.Command {
	var kubeconfig, namespace string
	process := &node.Process{}
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGS...]",
		Short: "Run a command with the identity of a service account",
		Long: `Run a command with the identity of a service account.

The server gets a Pod for as long as the command runs. A token bound to it, the
server's CA and the namespace lie at /var/run/secrets/kubernetes.io/serviceaccount,
where every in-cluster client looks, and only the command and its children see
them there. KUBECONFIG leads other clients to the same files. The token is renewed
in time. When the command ends, however it ends, the Pod is deleted, and with that
the token is void. When somebody deletes the Pod, the command ends: it gets SIGTERM,
and SIGKILL after the Pod's grace period.

The caller must be allowed to create and delete pods, to create tokens of the
service account, and to create, patch and delete leases, in the namespace; to
learn of the Pod's deletion, to get and watch pods. It is whoever the kubeconfig
says: the one of --kubeconfig, else of $KUBECONFIG, else ~/.kube/config, else that
of the server on this machine.

Streams, signals and the exit code are the command's own; 128+n if signal n ended it.`,
		Example: `  # Who am I in there?
  muster run -n dev --serviceaccount reporter -- kubectl auth whoami

  # A token for somebody else's service
  muster run -n dev --serviceaccount reporter --audience https://vault.example -- \
    sh -c 'cat /var/run/secrets/kubernetes.io/serviceaccount/token'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no command to run: muster run [flags] -- COMMAND [ARGS...]")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			process.Command, process.Args = args[0], args[1:]
			if err := checkAudiences(process.Audiences); err != nil {
				return err
			}
			if err := connect(cmd, process, kubeconfig, namespace); err != nil {
				return err
			}
			return runProcess(cmd, process)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // the command's flags are its own, with or without "--"
	flags.StringVarP(&namespace, "namespace", "n", "", "Namespace of the service account; that of the kubeconfig's context, else \"default\", if not given.")
	flags.StringVar(&process.ServiceAccount, "serviceaccount", "default", "Service account to run as.")
	flags.StringArrayVar(&process.Audiences, "audience", nil, "Audience of the token, may be repeated; the API server if not given.")
	flags.StringVar(&process.PodName, "pod-name", "", "Name of the Pod; one after the command if not given.")
	flags.StringVar(&kubeconfig, "kubeconfig", "", "Kubeconfig of the caller.")
	return cmd
}

// checkAudiences refuses what no service would call itself.
func checkAudiences(audiences []string) error {
	for _, audience := range audiences {
		if audience == "" || !utf8.ValidString(audience) {
			return fmt.Errorf("--audience %q is not the name of a service: leave the flag out for the API server", audience)
		}
	}
	return nil
}

// connect fills in who asks which server, and for which namespace.
func connect(cmd *cobra.Command, process *node.Process, kubeconfig, namespace string) error {
	config, namespace, err := loadKubeconfig(cmd, kubeconfig, namespace)
	if err != nil {
		return err
	}
	process.Namespace = namespace
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("loading kubeconfig: %w", err)
	}
	process.Client, process.Config = client, config
	return nil
}

// loadKubeconfig returns who asks which server, and for which namespace: the one given, else that of the context.
func loadKubeconfig(cmd *cobra.Command, kubeconfig, given string) (config *rest.Config, namespace string, err error) {
	overrides := &clientcmd.ConfigOverrides{}
	overrides.Context.Namespace = given
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(kubeconfigRules(kubeconfig, defaultDataDir), overrides)
	config, err = loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", errors.New("no kubeconfig: pass --kubeconfig, set $KUBECONFIG, or start a server on this machine")
	}
	if err != nil {
		return nil, "", fmt.Errorf("loading kubeconfig: %w", err)
	}
	config.WarningHandler = rest.NewWarningWriter(cmd.ErrOrStderr(), rest.WarningWriterOptions{Deduplicate: true})
	if namespace, _, err = loader.Namespace(); err != nil {
		return nil, "", fmt.Errorf("loading kubeconfig: %w", err)
	}
	return config, namespace, nil
}

// kubeconfigRules says where the kubeconfig is looked for: at the path given, in $KUBECONFIG, in the usual file, and
// where there is none of these, in the data dir of this machine's server.
func kubeconfigRules(given, dataDir string) *clientcmd.ClientConfigLoadingRules {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = given
	if given != "" || os.Getenv(clientcmd.RecommendedConfigPathEnvVar) != "" || slices.ContainsFunc(rules.Precedence, exists) {
		return rules
	}
	if local := filepath.Join(dataDir, "admin.kubeconfig"); exists(local) {
		rules.ExplicitPath = local
	}
	return rules
}

// exists takes a file that may not be looked at for one that is there, so that the error tells of it.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// runProcess runs the process on this one's streams and signals.
func runProcess(cmd *cobra.Command, process *node.Process) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, relayedSignals()...)
	defer signal.Stop(signals)
	process.Signals = signals
	process.Stdin, process.Stdout, process.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	process.Report = func(err error) { fmt.Fprintf(cmd.ErrOrStderr(), "muster: %s\n", oneLine(err)) }
	// What ends the run are signals, which the process treats itself.
	code, err := process.Run(context.WithoutCancel(cmd.Context()))
	if err != nil {
		return err
	}
	if code != 0 {
		return exitError{code}
	}
	return nil
}

// relayedSignals are those that someone might send to muster and mean the command. One that is ignored, as nohup
// makes it, stays so.
func relayedSignals() []os.Signal {
	all := []os.Signal{
		unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2,
		unix.SIGWINCH, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT,
	}
	return slices.DeleteFunc(all, signal.Ignored)
}
