// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/node"
	"github.com/muster-identity/muster/registry"
)

// verification is what the server says of a token.
type verification struct {
	Valid bool `json:"valid"`
	// Username and Audiences are those of a valid token.
	Username  string   `json:"username,omitempty"`
	Audiences []string `json:"audiences,omitempty"`
	// Error is why it is not valid.
	Error string `json:"error,omitempty"`
	authn.Explanation
}

func newTokenVerifyCommand() *cobra.Command {
	var (
		kubeconfig, output string
		audiences          []string
	)
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Ask the server what it thinks of a token, step by step",
		Long: `Ask the server what it thinks of a token, step by step.

The token is read from FILE, or from standard input without one, and never from
the command line, where others could see it. Each step of its check is a line:
✓ passed, ✗ failed, - not checked, for nobody vouches for what an unsigned token
says. The exit code is 0 if the token is valid, 1 if it is not.

The caller must be allowed to create tokenreviews, and to see the steps must have
the verb explain on tokenreviews (authentication.k8s.io); without it there is the
verdict alone. It is whoever the kubeconfig says, as with muster run.`,
		Example: `  # The token that this process has
  muster token verify /var/run/secrets/kubernetes.io/serviceaccount/token

  # One for a service of your own, for a program to read
  kubectl create token reporter --audience https://vault.example | muster token verify --audience https://vault.example -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%d files: muster token verify reads one token", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("-o %q is no format: json, or nothing for text", output)
			}
			if err := checkAudiences(audiences); err != nil {
				return err
			}
			token, err := readToken(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			process := &node.Process{}
			if err := connect(cmd, process, kubeconfig, ""); err != nil {
				return err
			}
			client, err := authenticationv1client.NewForConfig(process.Config)
			if err != nil {
				return fmt.Errorf("loading kubeconfig: %w", err)
			}
			result, err := verifyToken(cmd.Context(), client.TokenReviews(), token, audiences)
			if err != nil {
				return err
			}
			if err := result.print(cmd.OutOrStdout(), output); err != nil {
				return err
			}
			if !result.Valid {
				return exitError{1}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&audiences, "audience", nil, "Audience that the token must be for, may be repeated; the API server if not given.")
	flags.StringVarP(&output, "output", "o", "", "Format of the answer: json, or text if not given.")
	flags.StringVar(&kubeconfig, "kubeconfig", "", "Kubeconfig of the caller.")
	return cmd
}

// maxToken is more than any server accepts, in bytes.
const maxToken = 1 << 20

// readToken reads the token from the one file of args, or from stdin.
func readToken(stdin io.Reader, args []string) (string, error) {
	source, name := stdin, "standard input"
	if len(args) == 1 && args[0] != "-" {
		file, err := os.Open(args[0])
		if errors.Is(err, os.ErrNotExist) && strings.Count(args[0], ".") == 2 {
			return "", errors.New("no such file: a token is read from a file or standard input, not from the command line")
		}
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		defer file.Close()
		source, name = file, args[0]
	}
	text, err := io.ReadAll(io.LimitReader(source, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	switch {
	case token == "":
		return "", fmt.Errorf("%s has no token: it is empty", name)
	case len(text) > maxToken || strings.ContainsAny(token, " \t\r\n"):
		return "", fmt.Errorf("%s has no token: one is a single word of at most %d bytes", name, maxToken)
	}
	return token, nil
}

// verifyToken asks the server by a TokenReview.
func verifyToken(ctx context.Context, reviews authenticationv1client.TokenReviewInterface, token string, audiences []string) (*verification, error) {
	review, err := reviews.Create(ctx, &authenticationv1.TokenReview{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{registry.ExplainAnnotation: "true"}},
		Spec:       authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking the server: %w", err)
	}
	status := review.Status
	result := &verification{Valid: status.Authenticated, Username: status.User.Username, Audiences: status.Audiences, Error: status.Error}
	steps, ok := review.Annotations[registry.StepsAnnotation]
	if !ok {
		return result, nil
	}
	if err := json.Unmarshal([]byte(steps), &result.Explanation); err != nil {
		return nil, fmt.Errorf("reading the server's explanation: %w", err)
	}
	// The steps follow by themselves.
	result.Error = strings.TrimSuffix(status.Error, "; "+result.Explanation.String())
	return result, nil
}

// print writes the answer.
func (v *verification) print(w io.Writer, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	}
	var text strings.Builder
	for _, step := range v.Steps {
		fmt.Fprintf(&text, "%s %s%s\n", step.Result.Mark(), step.Check, told(step))
	}
	if v.Valid {
		fmt.Fprintf(&text, "valid: %s\n", v.Username)
	} else {
		fmt.Fprintf(&text, "not valid: %s\n", v.Error)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func told(step authn.Step) string {
	switch step.Result {
	case authn.Passed:
		return ": " + step.Wanted
	case authn.Failed:
		return ": wanted " + step.Wanted + ", got " + step.Got
	}
	return ""
}
