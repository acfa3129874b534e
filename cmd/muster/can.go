// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/access"
	"github.com/muster-identity/muster/rbac"
)

// verdict is what muster can says.
type verdict struct {
	Subject   rbacv1.Subject `json:"subject"`
	Request   string         `json:"request"`
	Namespace string         `json:"namespace,omitempty"`
	// Allowed is the server's decision.
	Allowed bool `json:"allowed"`
	// Reason is the server's, if it is another authorizer than RBAC that decides.
	Reason string `json:"reason,omitempty"`
	// RBAC is what roles and bindings say.
	RBAC access.Why `json:"rbac"`
}

func newCanCommand() *cobra.Command {
	var (
		q            question
		groups       []string
		output, name string
		suggest      bool
	)
	cmd := &cobra.Command{
		Use:   "can SUBJECT VERB RESOURCE[/NAME]",
		Short: "Tell whether somebody may do something, and why or why not",
		Long: `Tell whether somebody may do something, and why: by which rule of which role through
which binding. If they may not, tell what they hold that comes nearest, and with
--suggest write the smallest role and binding that would allow it.

SUBJECT is NAMESPACE/NAME for a service account, user:NAME or group:NAME. The groups
of a user are not known to the server: name them with --group.

The exit code is 0 if it is allowed, 1 if not. The decision is the server's own, if
the caller may create subjectaccessreviews; the reasons are those of roles and
bindings, which the caller must be allowed to list in all namespaces.`,
		Example: `  # Why does this fail?
  muster can dev/reporter list secrets -n prod

  # Allow it, and nothing else
  muster can dev/reporter list secrets -n prod --suggest | kubectl apply -f -

  # Somebody in the group admins, who reads metrics
  muster can user:jane --group admins get /metrics -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 3 {
				return fmt.Errorf("%d arguments: give SUBJECT, VERB and RESOURCE, as in dev/reporter get pods", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(output, "json", "yaml"); err != nil {
				return err
			}
			subject, err := access.ParseSubject(args[0])
			if err != nil {
				return err
			}
			q.verb, q.target = args[1], args[2]
			asked, err := q.ask(cmd)
			if err != nil {
				return err
			}
			who := access.UserFor(subject, groups...)
			v := &verdict{Subject: subject, Request: sentence(asked.Request, asked.namespace), Namespace: asked.namespace}
			v.RBAC = access.Explain(asked.index, who, asked.namespace, asked.Request)
			v.Allowed = v.RBAC.Allowed
			v.decided(cmd, who, asked)
			if suggest {
				return v.suggest(cmd, asked, name)
			}
			if err := v.print(cmd.OutOrStdout(), output); err != nil {
				return err
			}
			if !v.Allowed {
				return exitError{1}
			}
			return nil
		},
	}
	q.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&groups, "group", nil, "Group that SUBJECT is in, beside those that follow from its name; may be repeated.")
	flags.BoolVar(&suggest, "suggest", false, "If it is not allowed, write the smallest role and binding that allow it, for kubectl apply.")
	flags.StringVar(&name, "name", "", "With --suggest: name of the role and the binding; one made from SUBJECT if not given.")
	flags.StringVarP(&output, "output", "o", "", "Format of the answer: json or yaml, or text if not given.")
	return cmd
}

// decided asks the server itself, which may have other authorizers than RBAC. A
// caller who may not ask is told what RBAC says.
func (v *verdict) decided(cmd *cobra.Command, who user.Info, asked *asked) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: who.GetName(), Groups: who.GetGroups()}}
	if q := asked.Request; q.ResourceRequest {
		review.Spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
			Namespace: asked.namespace, Verb: q.Verb, Group: q.APIGroup, Resource: q.Resource, Subresource: q.Subresource, Name: q.Name,
		}
	} else {
		review.Spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: q.Path, Verb: q.Verb}
	}
	answer, err := asked.client.AuthorizationV1().SubjectAccessReviews().Create(cmd.Context(), review, metav1.CreateOptions{})
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "muster: the server was not asked, this is what roles and bindings say: %v\n", err)
		return
	}
	v.Allowed = answer.Status.Allowed
	if v.Allowed != v.RBAC.Allowed {
		v.Reason = answer.Status.Reason
	}
}

// suggest writes what would allow it.
func (v *verdict) suggest(cmd *cobra.Command, asked *asked, name string) error {
	if v.Allowed {
		fmt.Fprintf(cmd.ErrOrStderr(), "muster: %s may %s already\n", rbac.NameOf(v.Subject), v.Request)
		return nil
	}
	if name == "" {
		name = access.NameFor(v.Subject, asked.Request)
	}
	if err := checkRoleName(name); err != nil {
		return err
	}
	if asked.policy.Has(asked.namespace, name) {
		return fmt.Errorf("a role or a binding of the name %s exists, and is not to be replaced: give another with --name", name)
	}
	return printManifests(cmd.OutOrStdout(), access.Suggest(v.Subject, name, asked.namespace, asked.Request))
}

// mostNearest is how many grants that come near are told to people.
const mostNearest = 5

func (v *verdict) print(w io.Writer, format string) error {
	if format != "" {
		return printDocument(w, v, format)
	}
	if v.Allowed {
		fmt.Fprintf(w, "yes: %s may %s\n", rbac.NameOf(v.Subject), v.Request)
	} else {
		fmt.Fprintf(w, "no: %s may not %s\n", rbac.NameOf(v.Subject), v.Request)
	}
	if v.Allowed && !v.RBAC.Allowed {
		fmt.Fprintf(w, "  not by roles and bindings, but by another authorizer: %s\n", orNone(v.Reason))
	}
	for _, g := range v.RBAC.By {
		fmt.Fprintf(w, "  by %s of %s to %s, rule %s\n", g.Binding, g.Role, rbac.NameOf(g.Subject), access.RuleText(g.Rule))
	}
	if v.Allowed {
		return nil
	}
	for _, miss := range v.RBAC.Nearest[:min(len(v.RBAC.Nearest), mostNearest)] {
		fmt.Fprintf(w, "  %s\n", miss.Says)
	}
	if len(v.RBAC.Nearest) == 0 {
		fmt.Fprintln(w, "  nothing that it holds comes near")
	}
	_, err := fmt.Fprintln(w, "to allow it and nothing else, add: --suggest | kubectl apply -f -")
	return err
}
