// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// componentRoles are those of Kubernetes' components that can be attached, and
// of the loops of theirs that are of use here. They are complete: a component
// also reads kinds of which there is nothing.
func componentRoles() []*rbacv1.ClusterRole {
	return []*rbacv1.ClusterRole{
		clusterRole(user.KubeControllerManager,
			record(),
			resources("create", in(coordination), "leases"),
			named(resources("get update", in(coordination), "leases"), "kube-controller-manager"),
			resources("create", in(core), "secrets", "serviceaccounts"),
			resources("delete", in(core), "secrets"),
			resources("get", in(core), "configmaps", "namespaces", "secrets", "serviceaccounts"),
			resources("update", in(core), "secrets", "serviceaccounts"),
			resources("create", in(authentication), "tokenreviews"),
			resources("create", in(authorization), "subjectaccessreviews"),
			resources("list watch", in("*"), "*"),
			resources("create", in(core), "serviceaccounts/token")),
		clusterRole(user.KubeScheduler,
			record(),
			resources("create", in(coordination), "leases"),
			named(resources("get list update watch", in(coordination), "leases"), "kube-scheduler"),
			resources(readWrite, in(coordination), "leasecandidates"),
			resources(read, in(core), "namespaces", "nodes", "persistentvolumeclaims", "persistentvolumes", "replicationcontrollers", "services"),
			resources("delete get list watch", in(core), "pods"),
			resources("create", in(core), "bindings", "pods/binding"),
			resources("patch update", in(core), "pods/status"),
			resources("update", in(core), "pods/finalizers"),
			resources(read, in("apps"), "replicasets", "statefulsets"),
			resources(read, in("policy"), "poddisruptionbudgets"),
			resources("create", in(authentication), "tokenreviews"),
			resources("create", in(authorization), "subjectaccessreviews"),
			resources(read, in(storage), "csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments"),
			resources(read, in(devices), "deviceclasses", "devicetaintrules", "resourceclaims", "resourceslices"),
			resources("create delete patch update", in(devices), "resourceclaims"),
			resources("patch update", in(devices), "resourceclaims/binding", "resourceclaims/status")),

		controllerRole("job-controller",
			resources("get list patch update watch", in(batch), "jobs"),
			resources("update", in(batch), "jobs/finalizers", "jobs/status"),
			resources("create delete list patch watch", in(core), "pods"),
			record()),
		controllerRole("namespace-controller",
			resources("delete get list watch", in(core), "namespaces"),
			resources("update", in(core), "namespaces/finalize", "namespaces/status"),
			resources("delete deletecollection get list watch", in("*"), "*")),
		controllerRole("ttl-after-finished-controller",
			resources("delete get list watch", in(batch), "jobs"),
			record()),
	}
}

// componentBindings give those roles to the components, and to the accounts that
// kube-controller-manager makes for its loops (--use-service-account-credentials).
func componentBindings() []*rbacv1.ClusterRoleBinding {
	bindings := []*rbacv1.ClusterRoleBinding{
		bound(user.KubeControllerManager, subjects(rbacv1.UserKind, user.KubeControllerManager)...),
		bound(user.KubeScheduler, subjects(rbacv1.UserKind, user.KubeScheduler)...),
	}
	for _, loop := range []string{"job-controller", "namespace-controller", "ttl-after-finished-controller"} {
		account := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem, Name: loop}
		bindings = append(bindings, bound(controllerPrefix+loop, account))
	}
	return bindings
}

// controllerPrefix opens the names of the roles of controllers.
const controllerPrefix = "system:controller:"

func controllerRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return clusterRole(controllerPrefix+name, rules...)
}

// record is to write events of both groups.
func record() rbacv1.PolicyRule {
	return resources("create patch update", in(core, events), "events")
}
