// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/metrics"
	"k8s.io/apiserver/pkg/authorization/union"

	"github.com/muster-identity/muster/authz/node"
)

// Builtin are the authorizers that answer from the live view, which lasts from
// one configuration to the next.
type Builtin struct {
	RBAC *RBAC
	Node *node.Authorizer
	// Last is asked when all others had no opinion; nil for nobody. It is in no
	// configuration.
	Last authorizer.Authorizer
}

// Chain asks authorizers in the order of its configuration; the first that has an
// opinion counts. Before all of them, members of system:masters may do everything.
// Its methods may be called from any goroutine.
type Chain struct {
	builtin Builtin
	// kept are the types, but for webhooks, that each configuration has to have.
	kept    []apiserver.AuthorizerType
	current atomic.Pointer[links]
}

// links are the authorizers of one configuration.
type links struct {
	authorizer.Authorizer
	authorizer.RuleResolver
}

// Edition is what decides now. As long as it stays the same, so does every
// decision, but for those of nodes and webhooks.
type Edition struct {
	links *links
	rbac  uint64
}

// link is what one entry of a configuration becomes.
type link interface {
	authorizer.Authorizer
	authorizer.RuleResolver
}

var _ link = (*Chain)(nil)

// NewChain makes the chain of a configuration. It calls no webhook yet.
func NewChain(config *apiserver.AuthorizationConfiguration, builtin Builtin) (*Chain, error) {
	c := &Chain{builtin: builtin}
	for _, entry := range config.Authorizers {
		if entry.Type != TypeWebhook {
			c.kept = append(c.kept, entry.Type)
		}
	}
	return c, c.Replace(config)
}

// Kept are the types that a later configuration must have, too, and besides
// webhooks no others: who takes a sort of policy out of force, or trusts another,
// has to restart the server.
func (c *Chain) Kept() []apiserver.AuthorizerType { return c.kept }

// Replace puts another configuration into force. A request is decided by one of
// them, not by parts of both. After an error the chain is as it was.
func (c *Chain) Replace(config *apiserver.AuthorizationConfiguration) error {
	if len(config.Authorizers) == 0 {
		return errors.New("at least one authorization mode must be passed")
	}
	// These names are in the reasons that clients get.
	named := []union.NamedAuthorizer{{
		AuthorizerName: "kubernetes.io/system-privileged-group",
		Authorizer:     authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup),
	}}
	var resolvers []authorizer.RuleResolver
	for _, entry := range config.Authorizers {
		l, err := c.link(entry)
		if err != nil {
			return fmt.Errorf("authorizer %q: %w", entry.Name, err)
		}
		named = append(named, union.NamedAuthorizer{
			AuthorizerName: entry.Name,
			Authorizer:     metrics.InstrumentedAuthorizer(string(entry.Type), entry.Name, l),
		})
		resolvers = append(resolvers, l)
	}
	if c.builtin.Last != nil { // no name in a configuration has a slash
		named = append(named, union.NamedAuthorizer{AuthorizerName: "muster.id/last", Authorizer: c.builtin.Last})
	}
	all, err := union.New(named...)
	if err != nil {
		return fmt.Errorf("joining the authorizers: %w", err)
	}
	c.current.Store(&links{all, union.NewRuleResolvers(resolvers...)})
	return nil
}

func (c *Chain) link(entry apiserver.AuthorizerConfiguration) (link, error) {
	if entry.Type != TypeWebhook && !slices.Contains(c.kept, entry.Type) {
		return nil, fmt.Errorf("authorizer type %s is not allowed if it was not enabled at initial server startup", entry.Type)
	}
	switch entry.Type {
	case TypeNode:
		return c.builtin.Node, nil
	case TypeRBAC:
		return c.builtin.RBAC, nil
	case TypeAlwaysAllow:
		return authorizerfactory.NewAlwaysAllowAuthorizer(), nil
	case TypeAlwaysDeny:
		return authorizerfactory.NewAlwaysDenyAuthorizer(), nil
	case TypeWebhook:
		return NewWebhook(entry)
	default:
		return nil, fmt.Errorf("unknown authorization mode %s specified", entry.Type)
	}
}

// Edition is that of now.
func (c *Chain) Edition() Edition { return Edition{c.current.Load(), c.builtin.RBAC.index.Version()} }

// Authorize asks one authorizer after the other.
func (c *Chain) Authorize(ctx context.Context, attrs authorizer.Attributes) (authorizer.Decision, string, error) {
	return c.current.Load().Authorize(ctx, attrs)
}

// ConditionsAwareAuthorize does the same, and may leave the decision to conditions.
func (c *Chain) ConditionsAwareAuthorize(ctx context.Context, attrs authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return c.current.Load().ConditionsAwareAuthorize(ctx, attrs)
}

// EvaluateConditions evaluates such a decision.
func (c *Chain) EvaluateConditions(ctx context.Context, decision authorizer.ConditionsAwareDecision, data authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return c.current.Load().EvaluateConditions(ctx, decision, data)
}

// RulesFor lists what all authorizers know of. It is incomplete where one of them
// cannot tell, which the error says.
func (c *Chain) RulesFor(ctx context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	return c.current.Load().RulesFor(ctx, u, namespace)
}
