// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/rbac"
)

// crowd is roles and one binding each for so many service accounts of the one
// namespace "crowd", and five bindings for "me" among them, of which the last
// by name allows what me asks for.
func crowd(bindings int) []k8sruntime.Object {
	var objects []k8sruntime.Object
	roles := max(1, bindings/10)
	for i := range roles {
		objects = append(objects, &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: "crowd", Name: fmt.Sprintf("role-%d", i)},
			Rules: []rbacv1.PolicyRule{
				{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"configmaps", "pods"}},
				{Verbs: []string{"create"}, APIGroups: []string{"batch"}, Resources: []string{"jobs"}, ResourceNames: []string{"nightly"}},
			},
		})
	}
	to := func(name, role, account string) k8sruntime.Object {
		return &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "crowd", Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "crowd", Name: account}},
		}
	}
	for i := range bindings {
		objects = append(objects, to(fmt.Sprintf("binding-%06d", i), fmt.Sprintf("role-%d", i%roles), fmt.Sprintf("account-%d", i)))
	}
	for i := range 4 {
		objects = append(objects, to(fmt.Sprintf("me-%d", i), "role-0", "me"))
	}
	secrets := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "crowd", Name: "secrets"}, Rules: []rbacv1.PolicyRule{ruleFor("secrets")}}
	return append(objects, secrets, to("me-last", "secrets", "me"))
}

// largeCrowd is that of 100,000 bindings and 10,000 roles, made once.
var largeCrowd = sync.OnceValue(func() []k8sruntime.Object { return crowd(100_000) })

// largeIndex is that of the large crowd, for tests that do not change it.
var largeIndex = sync.OnceValue(func() *rbac.Index { return indexOf(largeCrowd()) })

func indexOf(objects []k8sruntime.Object) *rbac.Index {
	index := rbac.NewIndex()
	for _, obj := range objects {
		index.Set(obj)
	}
	return index
}

func me() (u user.Info, request authorizer.Attributes) {
	u = &user.DefaultInfo{
		Name:   "system:serviceaccount:crowd:me",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:crowd", "system:authenticated"},
	}
	return u, authorizer.AttributesRecord{User: u, ResourceRequest: true, Verb: "get", Namespace: "crowd", Resource: "secrets", Name: "key"}
}

func TestADecisionDoesNotAllocate(t *testing.T) { // AllocsPerRun wants to be alone
	index := largeIndex()
	u, allowed := me()
	refused := authorizer.AttributesRecord{User: u, ResourceRequest: true, Verb: "delete", Namespace: "crowd", Resource: "secrets", Name: "key"}
	for name, test := range map[string]struct {
		request authorizer.Attributes
		allowed bool
	}{"allowed": {allowed, true}, "refused": {refused, false}} {
		if allocs := testing.AllocsPerRun(1000, func() {
			if index.Decide(u, test.request).Allowed != test.allowed {
				t.Errorf("%s: wrong decision", name)
			}
		}); allocs > 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// What the index adds to the objects, which the server keeps anyway, and how often
// it allocates while it is filled, which most of the time goes into.
func TestTheIndexOfManyBindingsIsSmall(t *testing.T) { // the memory is that of the process
	objects := largeCrowd()
	var before, filled, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	index := indexOf(objects)
	runtime.ReadMemStats(&filled)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(index)
	if added := float64(after.HeapAlloc-before.HeapAlloc) / (1 << 20); added > 60 {
		t.Errorf("the index takes %.0f MiB, want at most 60", added)
	}
	if each := float64(filled.Mallocs-before.Mallocs) / float64(len(objects)); each > 20 {
		t.Errorf("indexing allocates %.1f times for each object, want at most 20", each)
	}
}

// A decision costs what the subject's own bindings cost. The best of many short
// turns is compared: others on the machine make some slower and none faster.
func TestADecisionCostsTheSameAmongManyBindings(t *testing.T) {
	few, many := indexOf(crowd(10)), largeIndex()
	u, request := me()
	turn := func(index *rbac.Index) time.Duration {
		start := time.Now()
		for range 50 {
			index.Decide(u, request)
		}
		return time.Since(start)
	}
	// BenchmarkDecide tells of the tenth that is allowed; what caches and a detector
	// of races add on a busy machine is more. To go through the bindings would be
	// thousands of times as much.
	const most = 2.0
	var ratio float64
	for range 5 { // a machine may be busy for longer than a series of turns
		amongFew, amongMany := time.Hour, time.Hour
		for range 1000 {
			amongFew, amongMany = min(amongFew, turn(few)), min(amongMany, turn(many))
		}
		if ratio = float64(amongMany) / float64(amongFew); ratio <= most {
			return
		}
	}
	t.Errorf("among 100,000 bindings a decision takes %.2f times what it takes among 10, want at most %.2f", ratio, most)
}

func BenchmarkDecide(b *testing.B) {
	for _, bindings := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("bindings=%d", bindings), func(b *testing.B) {
			index := indexOf(crowd(bindings))
			u, request := me()
			b.ReportAllocs()
			for b.Loop() {
				if !index.Decide(u, request).Allowed {
					b.Fatal("refused")
				}
			}
		})
	}
}

// BenchmarkIndexing reports the time from nothing to 100,000 bindings and 10,000
// roles, and the memory that the index adds to that of the objects.
func BenchmarkIndexing(b *testing.B) {
	objects := largeCrowd()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		index := indexOf(objects)
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(index)
		b.StartTimer()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB/index")
	runtime.KeepAlive(objects)
}

// BenchmarkRebind is one binding among 100,000 changing its subject.
func BenchmarkRebind(b *testing.B) {
	index := indexOf(largeCrowd())
	to := [2]k8sruntime.Object{bind("moving", "r", "g1"), bind("moving", "r", "g2")}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		index.Set(to[i%2])
	}
}
