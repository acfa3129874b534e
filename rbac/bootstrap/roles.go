// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Verbs, as rules list them.
const (
	read      = "get list watch"
	write     = "create delete deletecollection patch update"
	readWrite = "create delete deletecollection get list patch update watch"
)

// Groups, as rules list them.
const (
	core           = ""
	authentication = "authentication.k8s.io"
	authorization  = "authorization.k8s.io"
	batch          = "batch"
	certificates   = "certificates.k8s.io"
	coordination   = "coordination.k8s.io"
	devices        = "resource.k8s.io"
	events         = "events.k8s.io"
	storage        = "storage.k8s.io"
)

// ClusterRoles are those that exist from the start.
func ClusterRoles() []*rbacv1.ClusterRole {
	return slices.Concat([]*rbacv1.ClusterRole{
		// Everything.
		clusterRole("cluster-admin",
			resources("*", in("*"), "*"),
			paths("*", "*")),

		// What people are given in a namespace. Each is made of the roles that
		// are labelled for it, others' included, and is part of the next.
		aggregated("admin", ""),
		aggregated("edit", "admin"),
		aggregated("view", "edit"),
		partOf("admin", adminRules()),
		partOf("edit", editRules()),
		partOf("view", viewRules()),

		// What everybody is given who has been authenticated, or even has not.
		clusterRole("system:basic-user",
			resources("create", in(authorization), "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
			resources("create", in(authentication), "selfsubjectreviews")),
		clusterRole("system:discovery",
			paths("get", "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/")),
		clusterRole("system:public-info-viewer",
			paths("get", "/healthz", "/livez", "/readyz", "/version", "/version/")),
		clusterRole("system:service-account-issuer-discovery",
			paths("get", "/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/")),

		// What services and nodes are given.
		clusterRole("system:auth-delegator",
			resources("create", in(authentication), "tokenreviews"),
			resources("create", in(authorization), "subjectaccessreviews")),
		clusterRole("system:monitoring",
			paths("get", "/flagz", "/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis", "/readyz", "/readyz/*", "/statusz"),
			resources("get", in(core), "nodes/metrics")), // kubelets ask by reviews
		clusterRole("system:node", NodeRules()...),

		// What is given to those who ask for certificates, and who approve them.
		clusterRole("system:node-bootstrapper",
			resources("create get list watch", in(certificates), "certificatesigningrequests")),
		clusterRole("system:certificates.k8s.io:certificatesigningrequests:nodeclient",
			resources("create", in(certificates), "certificatesigningrequests/nodeclient")),
		clusterRole("system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
			resources("create", in(certificates), "certificatesigningrequests/selfnodeclient")),
		approver("kube-apiserver-client"),
		approver("kube-apiserver-client-kubelet"),
		approver("kubelet-serving"),
		approver("legacy-unknown"),
		clusterRole("system:cluster-trust-bundle-discovery",
			resources(read, in(certificates), "clustertrustbundles")),
	}, componentRoles())
}

// approver is the role of those who approve what one of Kubernetes' own signers
// is to sign.
func approver(signer string) *rbacv1.ClusterRole {
	return clusterRole("system:certificates.k8s.io:"+signer+"-approver",
		named(resources("approve", in(certificates), "signers"), "kubernetes.io/"+signer))
}

// Roles are those that exist from the start.
func Roles() []*rbacv1.Role {
	return []*rbacv1.Role{{
		ObjectMeta: meta(metav1.NamespaceSystem, "extension-apiserver-authentication-reader"),
		Rules: []rbacv1.PolicyRule{
			named(resources(read, in(core), "configmaps"), "extension-apiserver-authentication"),
		},
	}}
}

// adminRules are what edit does not have: to hand on rights in the namespace.
func adminRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		resources("create", in(authorization), "localsubjectaccessreviews"),
		resources(readWrite, in(rbacv1.GroupName), "rolebindings", "roles"),
	}
}

// editRules are what view does not have. They let their holder become any
// service account of the namespace, and read its secrets.
func editRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		resources(read, in(core), "secrets"),
		resources("impersonate", in(core), "serviceaccounts"),
		resources(write, in(core), "pods"),
		resources(write, in(core), "configmaps", "secrets", "serviceaccounts", "services"),
		resources("create", in(core), "serviceaccounts/token"),
		resources(write, in(core, events), "events"),
		resources(write, in(batch), "jobs"),
		resources(readWrite, in(coordination), "leases"),
	}
}

// viewRules leave secrets out: who reads them can become a service account.
func viewRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		resources(read, in(core), "configmaps", "pods", "serviceaccounts", "services", "services/status"),
		resources(read, in(core), "namespaces/status", "pods/status"),
		// In a namespace this is to read that one: by it one knows where one may look.
		resources(read, in(core), "namespaces"),
		resources(read, in(core, events), "events"),
		resources(read, in(batch), "jobs", "jobs/status"),
	}
}

// NodeRules are what every node may do, as far as that is not a question of single
// objects, on which the node authorizer decides by what a node's pods refer to. As
// a role they tell one node's pods and secrets from another's as little as that of
// Kubernetes does, which is why nobody is bound to it. They are complete, since
// kubelets ask for kinds that are not served, too.
func NodeRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		resources("create", in(authentication), "tokenreviews"),
		resources("create", in(authorization), "localsubjectaccessreviews", "subjectaccessreviews"),
		resources(read, in(core), "services"),
		resources("create get list watch", in(core), "nodes"),
		resources("patch update", in(core), "nodes/status"),
		resources("patch update", in(core), "nodes"),
		resources("create patch update", in(core, events), "events"),
		resources(read, in(core), "pods"),
		resources("create delete", in(core), "pods"),
		resources("patch update", in(core), "pods/status"),
		resources("create", in(core), "pods/eviction"),
		resources(read, in(core), "configmaps", "secrets"),
		resources("get", in(core), "persistentvolumeclaims", "persistentvolumes"),
		resources("get", in(core), "endpoints"),
		resources("create get list watch", in(certificates), "certificatesigningrequests"),
		resources("create delete get patch update", in(coordination), "leases"),
		resources("get", in(storage), "volumeattachments"),
		resources("create", in(core), "serviceaccounts/token"),
		resources("get patch update", in(core), "persistentvolumeclaims/status"),
		resources(read, in(storage), "csidrivers"),
		resources("create delete get patch update", in(storage), "csinodes"),
		resources(read, in("node.k8s.io"), "runtimeclasses"),
		resources("get", in(devices), "resourceclaims"),
		resources("deletecollection", in(devices), "resourceslices"),
		resources(read, in(certificates), "clustertrustbundles"),
		resources("get", in(core), "serviceaccounts"),
		resources("create get list watch", in(certificates), "podcertificaterequests"),
	}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: meta("", name), Rules: rules}
}

// aggregateTo is the label of the roles that the role called name is made of.
func aggregateTo(name string) string { return "rbac.authorization.k8s.io/aggregate-to-" + name }

// aggregated is a role made of the roles that are labelled for it. It is itself
// labelled for the next, if any.
func aggregated(name, next string) *rbacv1.ClusterRole {
	role := clusterRole(name)
	if next != "" {
		role.Labels[aggregateTo(next)] = "true"
	}
	role.AggregationRule = &rbacv1.AggregationRule{
		ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{aggregateTo(name): "true"}}},
	}
	return role
}

// partOf is the role that is this package's share of an aggregated role.
func partOf(name string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	role := clusterRole("system:aggregate-to-"+name, rules...)
	role.Labels[aggregateTo(name)] = "true"
	return role
}

// meta marks an object as one of these.
func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:   namespace,
		Name:        name,
		Labels:      map[string]string{bootstrapping: "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

// bootstrapping is the label of all objects that exist from the start.
const bootstrapping = "kubernetes.io/bootstrapping"

func in(groups ...string) []string { return groups }

func resources(verbs string, groups []string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Fields(verbs), APIGroups: groups, Resources: resources}
}

func named(rule rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	rule.ResourceNames = names
	return rule
}

func paths(verbs string, paths ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Fields(verbs), NonResourceURLs: paths}
}
