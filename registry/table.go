// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import "slices"

// Table is everything that Muster serves, in the order of the API groups.
func Table() []Resource {
	return slices.Concat([]Resource{
		configMaps(), events(), namespaces(), nodes(), pods(), podTemplates(), secrets(), serviceAccounts(), services(),
		eventsV1(),
		selfSubjectReviews(), tokenReviews(), tokenReviewsV1beta1(),
		localSubjectAccessReviews(), selfSubjectAccessReviews(), selfSubjectRulesReviews(), subjectAccessReviews(),
		jobs(),
		certificateSigningRequests(), clusterTrustBundles(), podCertificateRequests(),
		leases(),
		clusterRoleBindings(), clusterRoles(), roleBindings(), roles(),
		signingKeys{},
		tokenRevocations(),
	}, webhookConfigurationKinds(), admissionPolicies())
}
