// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

func newKeysCommand() *cobra.Command {
	var options keysOptions
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "List, rotate and retire the keys that sign service account tokens",
		Long: `List, rotate and retire the keys that sign service account tokens.

The keys are in the server's store, shared by all servers of that store. The
server replaces them by itself (--signing-key-rotation); these commands are for
those who want it now, or have lost a key.

The caller is whoever the kubeconfig says: the one of --kubeconfig, else of
$KUBECONFIG, else ~/.kube/config, else that of the server on this machine. They
need the verbs list, create and delete, respectively, on signingkeys in the group
identity.muster.id.`,
		Example: `  # Which keys are there?
  muster keys list

  # The next key, published now and signing in two hours
  muster keys rotate

  # This key is in the wrong hands
  muster keys rotate && muster keys retire KEYID`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&options.kubeconfig, "kubeconfig", "", "Kubeconfig of the caller.")
	cmd.PersistentFlags().StringVarP(&options.output, "output", "o", "", "Output format: json, or a table if not given.")
	cmd.AddCommand(newKeysListCommand(&options), newKeysRotateCommand(&options), newKeysRetireCommand(&options))
	return cmd
}

func newKeysListCommand(options *keysOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys",
		Long: `List the keys that verify tokens: the one that signs, the one that signs next if
it is published already, and those that have signed before, until their last
token has expired.`,
		Example: "  muster keys list\n  muster keys list -o json",
		Args:    cobra.NoArgs,
		RunE: options.run(func(ctx context.Context, c *keysClient, _ []string) error {
			list := &identityv1.SigningKeyList{}
			if err := c.api.Get().Resource("signingkeys").Do(ctx).Into(list); err != nil {
				return err
			}
			list.SetGroupVersionKind(identityv1.SchemeGroupVersion.WithKind("SigningKeyList")) // decoding takes it away
			return c.print(list, list.Items)
		}),
	}
}

func newKeysRotateCommand(options *keysOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Make the next key",
		Long: `Make the next key and publish it. It signs when nobody can hold an older copy of
the published keys any more, two hours from now; the present key goes on
verifying until the last of its tokens has expired.`,
		Example: "  muster keys rotate",
		Args:    cobra.NoArgs,
		RunE: options.run(func(ctx context.Context, c *keysClient, _ []string) error {
			made := &identityv1.SigningKey{}
			if err := c.api.Post().Resource("signingkeys").Body(&identityv1.SigningKey{}).Do(ctx).Into(made); err != nil {
				return fmt.Errorf("no key is made: %w", err)
			}
			made.SetGroupVersionKind(identityv1.SchemeGroupVersion.WithKind("SigningKey"))
			return c.print(made, []identityv1.SigningKey{*made})
		}),
	}
}

func newKeysRetireCommand(options *keysOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "retire KEYID",
		Short: "Void all tokens of a key",
		Long: `Take a key out: its tokens are void when the command returns, on this server, and
a moment later on all others of the store. Verifiers that do not ask the server
may go by their copy of the keys for another hour.

The key that signs can be retired once the next one is published, which then
signs at once.`,
		Example: `  muster keys retire ebgu1r-_awaNz4qaw0MvD1BQkYPTdYi5qzwRZBh0SLc

  # An id that begins with a dash
  muster keys retire -- -bgu1r-_awaNz4qaw0MvD1BQkYPTdYi5qzwRZBh0SLc`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return errors.New("which key is to be retired? muster keys retire KEYID (muster keys list shows the ids)")
			}
			return nil
		},
		RunE: options.run(func(ctx context.Context, c *keysClient, args []string) error {
			if err := c.api.Delete().Resource("signingkeys").Name(args[0]).Do(ctx).Error(); err != nil {
				return fmt.Errorf("the key is not retired: %w", err)
			}
			return c.printRetired(args[0])
		}),
	}
}

// keysOptions are what the commands have in common.
type keysOptions struct{ kubeconfig, output string }

// keysClient asks the server about its keys.
type keysClient struct {
	api    rest.Interface
	output string
	out    io.Writer
}

func (o *keysOptions) run(do func(context.Context, *keysClient, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if o.output != "" && o.output != "json" {
			return fmt.Errorf("--output %q is not known: json, or nothing for a table", o.output)
		}
		config, _, err := loadKubeconfig(cmd, o.kubeconfig, "")
		if err != nil {
			return err
		}
		api, err := identityClient(config)
		if err != nil {
			return err
		}
		return explained(do(cmd.Context(), &keysClient{api: api, output: o.output, out: cmd.OutOrStdout()}, args))
	}
}

// explained says what a server means that does not know the keys at all.
func explained(err error) error {
	if details, ok := apierrors.StatusCause(err, metav1.CauseTypeUnexpectedServerResponse); ok && apierrors.IsNotFound(err) && details.Message != "" {
		return errors.New("the server does not serve signing keys: is it a Muster, and of this version?")
	}
	return err
}

// identityClient is a client of Muster's own API group.
func identityClient(config *rest.Config) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	if err := identityv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/apis", &identityv1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType = runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("loading kubeconfig: %w", err)
	}
	return client, nil
}

// print shows the answer: the object itself as JSON, or a table of its keys.
func (c *keysClient) print(answer any, keys []identityv1.SigningKey) error {
	if c.output == "json" {
		return c.printJSON(answer)
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "ID\tALGORITHM\tSTATE\tSINCE\tUNTIL")
	for _, key := range keys {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", key.Name, key.Spec.Algorithm, key.Status.State, moment(key.Status.Since), moment(key.Status.Until))
	}
	return table.Flush()
}

func (c *keysClient) printRetired(id string) error {
	if c.output == "json" {
		return c.printJSON(map[string]string{"retired": id})
	}
	_, err := fmt.Fprintf(c.out, "key %s is retired: its tokens are void\n", id)
	return err
}

func (c *keysClient) printJSON(answer any) error {
	encoder := json.NewEncoder(c.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

func moment(t *metav1.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
