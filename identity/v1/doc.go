// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// What the generators are told, who read it in a file of this name and nowhere else:
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=id.muster.identity.v1
// +groupName=identity.muster.id

package v1
