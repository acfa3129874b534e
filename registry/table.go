// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

// Table is everything that Muster serves, in the order of the API groups.
func Table() []Resource {
	return []Resource{
		configMaps(), events(), namespaces(), nodes(), pods(), podTemplates(), secrets(), serviceAccounts(), services(),
		eventsV1(),
		selfSubjectReviews(), tokenReviews(),
		localSubjectAccessReviews(), selfSubjectAccessReviews(), selfSubjectRulesReviews(), subjectAccessReviews(),
		jobs(),
		leases(),
		clusterRoleBindings(), clusterRoles(), roleBindings(), roles(),
		tokenRevocations(),
	}
}
