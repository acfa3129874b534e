// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	identityv1 "github.com/muster-identity/muster/identity/v1"
	"github.com/muster-identity/muster/node"
	"github.com/muster-identity/muster/token"
)

// revocation is what the flags say.
type revocation struct {
	jti, issuer      string
	account, before  string
	key, node, uid   string
	reason, expires  string
	name, output     string
	kubeconfig, file string
	dryRun           bool
}

func newTokenRevokeCommand() *cobra.Command {
	r := &revocation{}
	cmd := &cobra.Command{
		Use:   "revoke [FILE]",
		Short: "Make tokens void before they expire",
		Long: `Make tokens void before they expire: one token, what an account has been issued
so far, all that a key has signed, or all that name a node.

One token is read from FILE, or from standard input if FILE is -, and never from
the command line, where others could see it. Without it, a flag says which tokens
are meant. What is stored names the token, and does not have it.

When the command returns, no check on that server finds the tokens good any more.
The object that it makes, a TokenRevocation, is deleted when the last of the tokens
has expired; to delete it earlier makes the tokens good again. By key and by node it
covers the tokens that are still to be made as well, and stays until it is deleted.

The caller must be allowed to create tokenrevocations (identity.muster.id). It is
whoever the kubeconfig says, as with muster run.`,
		Example: `  # This token has leaked
  muster token revoke --reason "it was in a log" token.txt

  # This one, of which the audit log has the id
  muster token revoke --jti 6b3d2f7a-52d1-4c5e-9d0a-6f6d3c1c0b52 --issuer https://kubernetes.default.svc.cluster.local

  # All that an account has been issued so far; what it is issued from now on is good
  muster token revoke --serviceaccount dev/reporter

  # All that a key has signed, and all that name a node
  muster token revoke --key 3nBTzpbRqF0FvCR9bNoU2wBGIrCZWp1gLqJHo6kXxXM
  muster token revoke --node worker-3 --reason "its disk was stolen"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				r.file = args[0]
			}
			return r.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.jti, "jti", "", "Id of the token (its claim jti); needs --issuer.")
	flags.StringVar(&r.issuer, "issuer", "", "Issuer of the token of --jti (its claim iss).")
	flags.StringVar(&r.account, "serviceaccount", "", "NAMESPACE/NAME of the account whose tokens are meant.")
	flags.StringVar(&r.before, "issued-before", "", "With --serviceaccount: spare tokens issued at this time (RFC 3339) or later; now if not given.")
	flags.StringVar(&r.key, "key", "", "Id of the key that has signed the tokens (their header kid).")
	flags.StringVar(&r.node, "node", "", "Name of the node that the tokens name.")
	flags.StringVar(&r.uid, "uid", "", "With --serviceaccount or --node: UID of the account or the node; whichever has the name if not given.")
	flags.StringVar(&r.reason, "reason", "", "Why; told to those who have a token of these reviewed.")
	flags.StringVar(&r.expires, "expires", "", "When the last of the tokens expires (RFC 3339); reckoned by the server if not given.")
	flags.StringVar(&r.name, "name", "", "Name of the TokenRevocation; one of the server's choice if not given.")
	flags.BoolVar(&r.dryRun, "dry-run", false, "Have the server check the request, and revoke nothing.")
	flags.StringVarP(&r.output, "output", "o", "", "Format of the answer: json, yaml or name; one line for people if not given.")
	flags.StringVar(&r.kubeconfig, "kubeconfig", "", "Kubeconfig of the caller.")
	return cmd
}

func (r *revocation) run(cmd *cobra.Command) error {
	object, err := r.object()
	if err != nil {
		return err
	}
	compact, claims, err := r.token(cmd.InOrStdin())
	if err != nil {
		return err
	}
	client, err := clientFor(cmd, r.kubeconfig)
	if err != nil {
		return err
	}
	if claims != nil {
		object.Spec.Token = &identityv1.RevokedToken{Issuer: claims.Issuer, JTI: claims.ID}
		if r.expires == "" && vouchedFor(cmd.Context(), client, compact, claims) {
			object.Spec.ExpirationTimestamp = &metav1.Time{Time: time.Unix(claims.Expiry, 0)}
		}
	}
	made, err := createRevocation(cmd.Context(), client, object, r.dryRun)
	if err != nil {
		return err
	}
	if doubt := r.doubt(cmd.Context(), client); doubt != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "muster: %s\n", doubt)
	}
	return r.print(cmd.OutOrStdout(), made)
}

// token reads the token that is meant and what it says; there is none without a
// file.
func (r *revocation) token(stdin io.Reader) (compact string, claims *token.Claims, err error) {
	if r.file == "" {
		return "", nil, nil
	}
	compact, err = readToken(stdin, []string{r.file})
	if err != nil {
		return "", nil, err
	}
	claims, ok := token.Read(compact)
	if !ok || claims.ID == "" {
		return "", nil, errors.New("this is no token that can be revoked by itself: it must be a JWT with the claims iss and jti")
	}
	return compact, claims, nil
}

// clientFor makes a client of whoever the kubeconfig says.
func clientFor(cmd *cobra.Command, kubeconfig string) (kubernetes.Interface, error) {
	process := &node.Process{}
	if err := connect(cmd, process, kubeconfig, ""); err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(process.Config)
	if err != nil {
		return nil, fmt.Errorf("loading kubeconfig: %w", err)
	}
	return client, nil
}

// vouchedFor tells whether the server calls a token good, for whatever audience
// it says: only then is it believed when it expires. A forgery could say that of
// a token that lives longer, to bring it back to life.
func vouchedFor(ctx context.Context, client kubernetes.Interface, compact string, claims *token.Claims) bool {
	review, err := client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: compact, Audiences: claims.Audience},
	}, metav1.CreateOptions{})
	return err == nil && review.Status.Authenticated
}

// object is the revocation that the flags describe; the token of a file is not
// in it yet.
func (r *revocation) object() (*identityv1.TokenRevocation, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	object := &identityv1.TokenRevocation{
		TypeMeta:   metav1.TypeMeta{APIVersion: identityv1.SchemeGroupVersion.String(), Kind: "TokenRevocation"},
		ObjectMeta: metav1.ObjectMeta{Name: r.name},
		Spec:       identityv1.TokenRevocationSpec{Reason: r.reason},
	}
	if r.name == "" {
		object.GenerateName = "revocation-"
	}
	var err error
	if object.Spec.ExpirationTimestamp, err = momentOf("--expires", r.expires); err != nil {
		return nil, err
	}
	switch {
	case r.jti != "":
		object.Spec.Token = &identityv1.RevokedToken{Issuer: r.issuer, JTI: r.jti}
	case r.account != "":
		object.Spec.ServiceAccount, err = r.revokedAccount()
	case r.key != "":
		object.Spec.Key = &identityv1.RevokedKey{ID: r.key}
	case r.node != "":
		object.Spec.Node = &identityv1.RevokedNode{Name: r.node, UID: types.UID(r.uid)}
	}
	return object, err
}

func (r *revocation) revokedAccount() (*identityv1.RevokedServiceAccount, error) {
	namespace, name, ok := strings.Cut(r.account, "/")
	if !ok || namespace == "" || name == "" {
		return nil, fmt.Errorf("--serviceaccount %q is not NAMESPACE/NAME, as in dev/reporter", r.account)
	}
	before, err := momentOf("--issued-before", r.before)
	return &identityv1.RevokedServiceAccount{Namespace: namespace, Name: name, UID: types.UID(r.uid), IssuedBefore: before}, err
}

// check finds flags that do not go together: exactly one says which tokens are
// meant.
func (r *revocation) check() error {
	var ways []string
	for _, way := range []struct{ name, value string }{
		{"a token", r.file}, {"--jti", r.jti}, {"--serviceaccount", r.account}, {"--key", r.key}, {"--node", r.node},
	} {
		if way.value != "" {
			ways = append(ways, way.name)
		}
	}
	switch {
	case len(ways) == 0:
		return errors.New("which tokens? give a FILE with one (- for standard input), --jti with --issuer, --serviceaccount, --key or --node")
	case len(ways) > 1:
		return fmt.Errorf("%s do not go together: make a revocation for each", strings.Join(ways, " and "))
	case (r.jti == "") != (r.issuer == ""):
		return errors.New("--jti and --issuer go together: a token's id is unique to its issuer")
	case r.before != "" && r.account == "":
		return errors.New("--issued-before goes with --serviceaccount")
	case r.uid != "" && r.account == "" && r.node == "":
		return errors.New("--uid goes with --serviceaccount or --node")
	}
	switch r.output {
	case "", "json", "yaml", "name":
		return nil
	}
	return fmt.Errorf("-o %q is no format: json, yaml or name, or nothing for a line of text", r.output)
}

func momentOf(flag, text string) (*metav1.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("%s %q is no time: write it as 2026-01-31T15:04:05Z", flag, text)
	}
	return &metav1.Time{Time: at}, nil
}

// createRevocation goes without a generated client: there is one request to make.
func createRevocation(ctx context.Context, client kubernetes.Interface, object *identityv1.TokenRevocation, dryRun bool) (*identityv1.TokenRevocation, error) {
	body, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	group := identityv1.SchemeGroupVersion
	request := client.Discovery().RESTClient().Post().AbsPath("/apis", group.Group, group.Version, "tokenrevocations").
		SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").Body(body)
	if dryRun {
		request = request.Param("dryRun", metav1.DryRunAll)
	}
	result := request.Do(ctx)
	if err := result.Error(); err != nil { // that of Raw does not have what the server says
		return nil, fmt.Errorf("revoking: %w", err)
	}
	answer, err := result.Raw()
	if err != nil {
		return nil, fmt.Errorf("reading the server's answer: %w", err)
	}
	made := &identityv1.TokenRevocation{}
	if err := json.Unmarshal(answer, made); err != nil {
		return nil, fmt.Errorf("reading the server's answer: %w", err)
	}
	return made, nil
}

// print writes what was made, as kubectl does.
func (r *revocation) print(w io.Writer, made *identityv1.TokenRevocation) error {
	var text []byte
	var err error
	switch name := identityv1.Resource("tokenrevocation").String() + "/" + made.Name; {
	case r.output == "json":
		text, err = json.MarshalIndent(made, "", "  ")
		text = append(text, '\n')
	case r.output == "yaml":
		text, err = yaml.Marshal(made)
	case r.output == "name":
		text = []byte(name + "\n")
	case r.dryRun:
		text = []byte(name + " created (server dry run)\n")
	default:
		text = []byte(name + " created\n")
	}
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	_, err = w.Write(text)
	return err
}
