// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/muster-identity/muster/rbac"
)

// A harm is something that a role can do beyond what it says.
type harm struct {
	check string
	// says is what whoever has the role can do.
	says string
	// wide and narrow are how bad it is by a ClusterRoleBinding and by a
	// RoleBinding.
	wide, narrow Severity
	// ways are the requests, any of which does it.
	ways []way
	// mend is what to do.
	mend string
}

// A way is a request that does harm, in words, and what has to be allowed with
// it, if anything.
type way struct {
	says     string
	request  rbac.Request
	together *rbac.Request
}

func asks(says, verb, group, resource, subresource string) way {
	return way{says: says, request: on(verb, group, resource, subresource)}
}

func on(verb, group, resource, subresource string) rbac.Request {
	return rbac.Request{Verb: verb, ResourceRequest: true, APIGroup: group, Resource: resource, Subresource: subresource}
}

func also(w way, verb, group, resource string) way {
	with := on(verb, group, resource, "")
	w.together = &with
	return w
}

const (
	rbacGroup         = rbacv1.GroupName
	admissionGroup    = "admissionregistration.k8s.io"
	certificatesGroup = "certificates.k8s.io"
	identityGroup     = "identity.muster.id"
)

// harms are what the review looks for in roles, the worst first.
func harms() []harm {
	return []harm{
		{
			check: "gives-itself-rights", wide: Critical, narrow: Critical,
			says: "can give itself any rights",
			mend: "take the verbs escalate and bind out of the role: whoever holds rights can pass them on without",
			ways: []way{
				asks("escalates clusterroles", "escalate", rbacGroup, "clusterroles", ""),
				asks("escalates roles", "escalate", rbacGroup, "roles", ""),
				also(asks("binds any clusterrole", "bind", rbacGroup, "clusterroles", ""), "create", rbacGroup, "clusterrolebindings"),
				also(asks("binds any clusterrole in the namespace", "bind", rbacGroup, "clusterroles", ""), "create", rbacGroup, "rolebindings"),
				also(asks("binds any role", "bind", rbacGroup, "roles", ""), "create", rbacGroup, "rolebindings"),
			},
		},
		{
			check: "becomes-others", wide: Critical, narrow: High,
			says: "can become other accounts",
			mend: "narrow the role to what is needed, with resourceNames where it is for some accounts; put accounts that must not meet into namespaces of their own",
			ways: []way{
				asks("impersonates users", "impersonate", "", "users", ""),
				asks("impersonates groups", "impersonate", "", "groups", ""),
				asks("impersonates accounts", "impersonate", "", "serviceaccounts", ""),
				asks("requests tokens of accounts", "create", "", "serviceaccounts", "token"),
				asks("runs pods as any account", "create", "", "pods", ""),
				asks("runs jobs as any account", "create", "batch", "jobs", ""),
				asks("runs cronjobs as any account", "create", "batch", "cronjobs", ""),
				asks("runs deployments as any account", "create", "apps", "deployments", ""),
				asks("runs daemonsets as any account", "create", "apps", "daemonsets", ""),
				asks("runs statefulsets as any account", "create", "apps", "statefulsets", ""),
				asks("runs replicasets as any account", "create", "apps", "replicasets", ""),
				asks("runs replication controllers as any account", "create", "", "replicationcontrollers", ""),
				asks("enters pods (exec)", "create", "", "pods", "exec"),
				asks("enters pods (attach)", "create", "", "pods", "attach"),
				asks("enters pods (ephemeral containers)", "update", "", "pods", "ephemeralcontainers"),
				asks("enters pods (ephemeral containers)", "patch", "", "pods", "ephemeralcontainers"),
				asks("reads Secrets, and the tokens in them", "get", "", "secrets", ""),
				asks("reads Secrets, and the tokens in them", "list", "", "secrets", ""),
				asks("reads Secrets, and the tokens in them", "watch", "", "secrets", ""),
				asks("has tokens made by writing Secrets", "create", "", "secrets", ""),
				asks("runs commands on nodes through the kubelet", "create", "", "nodes", "proxy"),
				asks("reads from the kubelet", "get", "", "nodes", "proxy"),
				also(asks("approves certificates of anybody", "update", certificatesGroup, "certificatesigningrequests", "approval"), "approve", certificatesGroup, "signers"),
				also(asks("signs certificates of anybody", "update", certificatesGroup, "certificatesigningrequests", "status"), "sign", certificatesGroup, "signers"),
			},
		},
		{
			check: "changes-what-others-write", wide: Critical, narrow: High,
			says: "can change or stop what others write",
			mend: "leave webhooks and policies to administrators",
			ways: []way{
				asks("makes mutating webhooks", "create", admissionGroup, "mutatingwebhookconfigurations", ""),
				asks("changes mutating webhooks", "update", admissionGroup, "mutatingwebhookconfigurations", ""),
				asks("changes mutating webhooks", "patch", admissionGroup, "mutatingwebhookconfigurations", ""),
				asks("makes validating webhooks, which see what is written", "create", admissionGroup, "validatingwebhookconfigurations", ""),
				asks("changes validating webhooks, which see what is written", "update", admissionGroup, "validatingwebhookconfigurations", ""),
				asks("removes validating webhooks", "delete", admissionGroup, "validatingwebhookconfigurations", ""),
				asks("makes mutating policies", "create", admissionGroup, "mutatingadmissionpolicies", ""),
				asks("removes validating policies", "delete", admissionGroup, "validatingadmissionpolicies", ""),
			},
		},
		{
			check: "undoes-revocations", wide: High, narrow: Info,
			says: "can make revoked tokens good again, or replace the keys that sign tokens",
			mend: "leave revocations and keys to administrators",
			ways: []way{
				asks("deletes revocations", "delete", identityGroup, "tokenrevocations", ""),
				asks("retires signing keys", "delete", identityGroup, "signingkeys", ""),
			},
		},
	}
}

// everything is what a role of an administrator allows.
var everything = rbac.Request{Verb: "*", ResourceRequest: true, APIGroup: "*", Resource: "*"}

// waysOf returns in words how rules do a harm. A way that is open for some
// objects alone names them.
func waysOf(rules []rbacv1.PolicyRule, h harm) []string {
	var found []string
	for _, w := range h.ways {
		open, names := allowed(rules, w.request)
		if w.together != nil {
			with, _ := allowed(rules, *w.together)
			open = open && with
		}
		if !open {
			continue
		}
		says := w.says
		if len(names) > 0 {
			says += " (" + strings.Join(names, ", ") + ")"
		}
		if !slices.Contains(found, says) {
			found = append(found, says)
		}
	}
	return found
}

// allowed tells whether rules allow a request, and for which objects alone; nil
// if for all.
func allowed(rules []rbacv1.PolicyRule, request rbac.Request) (open bool, names []string) {
	for i := range rules {
		rule := &rules[i]
		if rbac.Matches(rule, &request) {
			return true, nil
		}
		for _, name := range rule.ResourceNames {
			request := request
			if request.Name = name; request.Verb != "create" && rbac.Matches(rule, &request) || request.Subresource != "" && rbac.Matches(rule, &request) {
				open, names = true, append(names, name)
			}
		}
	}
	slices.Sort(names)
	return open, slices.Compact(names)
}

// wildcards returns what of rules is an asterisk, in words.
func wildcards(rules []rbacv1.PolicyRule) []string {
	var found []string
	for _, rule := range rules {
		for _, part := range []struct {
			says   string
			values []string
		}{
			{"every verb on " + enumerated(append(slices.Clone(rule.Resources), rule.NonResourceURLs...)), rule.Verbs},
			{"every resource of " + enumerated(quoted(rule.APIGroups)), rule.Resources},
			{"every group with " + enumerated(rule.Resources), rule.APIGroups},
		} {
			if slices.Contains(part.values, "*") && !slices.Contains(found, part.says) {
				found = append(found, part.says)
			}
		}
	}
	return found
}

// quoted names API groups; that of the core has no name.
func quoted(groups []string) []string {
	var names []string
	for _, g := range groups {
		if g == "" {
			g = "the core group"
		}
		names = append(names, g)
	}
	return names
}
