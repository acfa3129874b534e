// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// shelf has so many config maps, as of revision 7, and notes how it was asked.
type shelf struct {
	count  int
	broken int // the page, from 1, that cannot be read
	asked  []metav1.ListOptions
}

func (s *shelf) list(_ context.Context, options metav1.ListOptions) (runtime.Object, error) {
	s.asked = append(s.asked, options)
	if len(s.asked) == s.broken {
		return nil, errors.New("the store is away")
	}
	from, _ := strconv.Atoi(options.Continue)
	to := min(from+int(options.Limit), s.count)
	list := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}}
	for i := from; i < to; i++ {
		list.Items = append(list.Items, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}})
	}
	if to < s.count {
		list.Continue = fmt.Sprint(to)
	}
	return list, nil
}

// over lists a shelf, and leaves the names of what it takes in names.
func over(s *shelf, names *[]string) *ListerWatcher {
	return &ListerWatcher{
		From: &cache.ListWatch{ListWithContextFunc: s.list, WatchFuncWithContext: s.watch},
		Begin: func() func(runtime.Object) {
			*names = nil
			return func(object runtime.Object) { *names = append(*names, object.(*corev1.ConfigMap).Name) }
		},
	}
}

func (s *shelf) watch(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return nil, errors.New("watched from " + options.ResourceVersion)
}

func TestAListIsReadPageByPage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ count, pages int }{
		"nothing":                 {0, 1},
		"one page":                {size, 1},
		"one more than two pages": {2*size + 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{count: test.count}
			var names []string
			lister := over(s, &names)
			list, err := lister.ListWithContext(t.Context(), metav1.ListOptions{ResourceVersion: "3", Limit: 500})
			if err != nil {
				t.Fatal(err)
			}
			about := list.(*metav1.List)
			if len(about.Items) != 0 || about.ResourceVersion != "7" || about.Continue != "" {
				t.Errorf("the list is %+v, want an empty one of revision 7", about)
			}
			if len(s.asked) != test.pages || len(names) != test.count {
				t.Errorf("%d objects in %d pages, want %d in %d", len(names), len(s.asked), test.count, test.pages)
			}
			for i, name := range names {
				if name != fmt.Sprint(i) {
					t.Fatalf("object %d is %q", i, name)
				}
			}
			first := metav1.ListOptions{ResourceVersion: "3", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, Limit: size}
			if diff := cmp.Diff(first, s.asked[0]); diff != "" {
				t.Errorf("the first page (-want +got):\n%s", diff)
			}
			for i, asked := range s.asked[1:] {
				if diff := cmp.Diff(metav1.ListOptions{Continue: fmt.Sprint((i + 1) * size), Limit: size}, asked); diff != "" {
					t.Errorf("page %d (-want +got):\n%s", i+2, diff)
				}
			}
		})
	}
}

func TestAListThatBreaksBeginsAnew(t *testing.T) {
	t.Parallel()
	s := &shelf{count: size + 1, broken: 2}
	var names []string
	lister := over(s, &names)
	if _, err := lister.ListWithContext(t.Context(), metav1.ListOptions{}); err == nil || err.Error() != "the store is away" {
		t.Fatalf("the error is %v", err)
	}
	if _, err := lister.ListWithContext(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(names) != s.count {
		t.Errorf("%d objects, want %d", len(names), s.count)
	}
}

func TestAReflectorTakesAllThatExists(t *testing.T) {
	t.Parallel()
	s := &shelf{count: 2*size + 1}
	var names []string
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	reflector := cache.NewReflectorWithOptions(over(s, &names), &corev1.ConfigMap{}, store, cache.ReflectorOptions{})
	err := reflector.ListAndWatchWithContext(t.Context())
	if err == nil || err.Error() != "watched from 7" {
		t.Errorf("after the list comes %v, want a watch from its revision", err)
	}
	if len(names) != s.count || len(store.List()) != 0 {
		t.Errorf("%d objects were taken and %d kept, want %d and none", len(names), len(store.List()), s.count)
	}
}
