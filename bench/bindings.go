// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	clientv3 "go.etcd.io/etcd/client/v3"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	accessReviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
	// batch is how many objects a transaction of etcd may write by default.
	batch = 128
)

// bindings is a setup's preparation by which so many service accounts are bound
// to one role, each by a RoleBinding of its own. They are written straight into
// the store, whose layout the systems share: through the API 30,000 take minutes.
func bindings(n int) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		w.bindings = n
		store, err := clientv3.New(clientv3.Config{Endpoints: []string{w.system.Store}, DialTimeout: 10 * time.Second})
		if err != nil {
			return fmt.Errorf("connecting to the store of %s: %w", w.system.Name, err)
		}
		defer store.Close()
		for first := 0; first < n; first += batch {
			var puts []clientv3.Op
			for i := first; i < min(n, first+batch); i++ {
				put, err := putBinding(i)
				if err != nil {
					return err
				}
				puts = append(puts, put)
			}
			if _, err := store.Txn(ctx).Then(puts...).Commit(); err != nil {
				return fmt.Errorf("writing role bindings into the store of %s: %w", w.system.Name, err)
			}
		}
		return w.awaitBinding(ctx, n-1)
	}
}

// putBinding writes the i-th binding, as an API server would.
func putBinding(i int) (clientv3.Op, error) {
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{
			Name: boundAccount(i), Namespace: namespace,
			UID: types.UID(uuid.NewString()), CreationTimestamp: metav1.Now(),
		},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: caller},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: boundAccount(i), Namespace: namespace}},
	}
	encoded, err := encode(binding, rbacv1.SchemeGroupVersion, asProtobuf)
	return clientv3.OpPut("/registry/rolebindings/"+namespace+"/"+binding.Name, string(encoded)), err
}

// boundAccount is the name of the i-th binding and of the account that it binds.
func boundAccount(i int) string { return fmt.Sprintf("bound-%05d", i) }

// awaitBinding waits until a binding has reached the authorizer. Bindings reach
// it in the order in which they were written.
func (w *world) awaitBinding(ctx context.Context, i int) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		answer, err := w.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, accessReview(i, "get"), metav1.CreateOptions{})
		return err == nil && answer.Status.Allowed, err
	})
}

// accessReview asks whether the i-th account may do something with a ConfigMap.
// Its role lets it get one, and no more.
func accessReview(i int, verb string) *authorizationv1.SubjectAccessReview {
	return &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:   "system:serviceaccount:" + namespace + ":" + boundAccount(i),
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Version: "v1", Resource: "configmaps", Name: settings,
		},
	}}
}

// reviewAccess asks about what is refused: only then has everybody to look at
// all bindings that there are.
func reviewAccess(w *world, i int) (ask, error) {
	return ask{
		method: http.MethodPost, path: accessReviews, version: authorizationv1.SchemeGroupVersion,
		body: accessReview(i%w.bindings, "delete"),
	}, nil
}

func notAllowed(body []byte) error {
	var answer authorizationv1.SubjectAccessReview
	if err := decode(body, &answer); err != nil {
		return err
	}
	if answer.Status.Allowed || answer.Status.EvaluationError != "" {
		return errors.New("the access is not plainly refused")
	}
	return nil
}
