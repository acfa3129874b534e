// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"fmt"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/rbac"
)

// while asks again and again, from several goroutines, while a writer makes its
// rounds; it returns when both are done.
func while(rounds int, write func(), ask func()) {
	var writer, readers sync.WaitGroup
	done := make(chan struct{})
	writer.Go(func() {
		defer close(done)
		for range rounds {
			write()
		}
	})
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					ask()
				}
			}
		})
	}
	writer.Wait()
	readers.Wait()
}

func getPods(u user.Info) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{User: u, ResourceRequest: true, Verb: "get", Namespace: "a", Resource: "pods"}
}

func clusterRole(name string, resources ...string) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: resources}},
	}
}

func bind(name, role, group string) *rbacv1.ClusterRoleBinding {
	b := clusterBinding(name, rbacv1.Subject{Kind: "Group", Name: group})
	b.RoleRef.Name = role
	return b
}

// A binding moves to and fro between two groups of the same user, and a second
// one is always made before the first is taken away.
func TestWhoIsAlwaysAllowedIsNeverRefusedWhileBindingsMove(t *testing.T) {
	t.Parallel()
	index := rbac.NewIndex()
	index.Set(clusterRole("r", "pods"))
	index.Set(bind("move", "r", "g1"))
	ann := &user.DefaultInfo{Name: "ann", Groups: []string{"g0", "g1", "g2", "g3", "g4"}}
	while(3000, func() {
		index.Set(bind("move", "r", "g4"))
		index.Set(bind("move", "r", "g0"))
		index.Set(bind("second", "r", "g3"))
		index.Delete(bind("move", "r", "g0"))
		index.Set(bind("move", "r", "g1"))
		index.Delete(bind("second", "r", "g3"))
	}, func() {
		if got := index.Decide(ann, getPods(ann)); !got.Allowed {
			t.Errorf("refused: %v", got.Errors)
		}
		if err := index.ConfirmNoEscalation(ann, "a", rbacv1.Resource("roles"), clusterRole("w", "pods").Rules); err != nil {
			t.Error(err)
		}
	})
}

// A role is given the right only while nobody is bound to it. Many bindings before
// it in the search leave time for both to happen while a reader is under way.
func TestWhoIsNeverAllowedIsNeverLetInWhileRolesChange(t *testing.T) {
	t.Parallel()
	index := rbac.NewIndex()
	ann := &user.DefaultInfo{Name: "ann", Groups: []string{"g"}}
	index.Set(clusterRole("other", "nodes"))
	for i := range 500 {
		index.Set(bind(fmt.Sprintf("a-%03d", i), "other", "g"))
	}
	while(2000, func() {
		index.Set(clusterRole("r", "secrets"))
		index.Set(bind("b", "r", "g"))
		index.Delete(bind("b", "r", "g"))
		index.Set(clusterRole("r", "pods"))
	}, func() {
		if got := index.Decide(ann, getPods(ann)); got.Allowed {
			t.Error(got.Reason)
		}
	})
}

func TestAWriteIsInForceWhenItReturns(t *testing.T) {
	t.Parallel()
	index := rbac.NewIndex()
	index.Set(clusterRole("r", "pods"))
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			name := string(rune('a' + i))
			u := &user.DefaultInfo{Name: name, Groups: []string{name}}
			for range 1000 {
				index.Set(bind(name, "r", name))
				if got := index.Decide(u, getPods(u)); !got.Allowed {
					t.Error("a binding is not in force when its write returns")
				}
				index.Delete(bind(name, "r", name))
				if got := index.Decide(u, getPods(u)); got.Allowed {
					t.Error("a binding is in force when its deletion returns")
				}
			}
		})
	}
	writers.Wait()
}
