// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

// doubt is what is odd about a revocation that was made: it names what the
// server does not know. That may be right, for a key or node that is gone, or a
// slip of the pen; nothing is said to those who may not look. Empty if all is
// well.
func (r *revocation) doubt(ctx context.Context, client kubernetes.Interface) string {
	switch {
	case r.key != "":
		return r.doubtfulKey(ctx, client)
	case r.node != "":
		_, err := client.CoreV1().Nodes().Get(ctx, r.node, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return fmt.Sprintf("note: there is no node %q now; tokens that name it are void all the same", r.node)
		}
	}
	return ""
}

func (r *revocation) doubtfulKey(ctx context.Context, client kubernetes.Interface) string {
	group := identityv1.SchemeGroupVersion
	answer, err := client.Discovery().RESTClient().Get().AbsPath("/apis", group.Group, group.Version, "signingkeys").
		SetHeader("Accept", "application/json").DoRaw(ctx)
	keys := &identityv1.SigningKeyList{}
	if err != nil || json.Unmarshal(answer, keys) != nil || len(keys.Items) == 0 {
		return ""
	}
	var known []string
	for _, key := range keys.Items {
		if key.Name == r.key {
			return ""
		}
		known = append(known, key.Name)
	}
	return fmt.Sprintf("warning: no key has the id %q, so no token that is good now becomes void; the keys are %s (muster keys list). If it was mistyped, delete this revocation and make another",
		r.key, strings.Join(known, ", "))
}
