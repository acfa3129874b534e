// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/etcd3/testserver"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// namespaceStarts counts the namespaces that it is told of, and refuses one.
type namespaceStarts struct{ names []string }

func (s *namespaceStarts) Start(_ context.Context, namespace *corev1.Namespace) error {
	s.names = append(s.names, namespace.Name)
	if namespace.Name == "cursed" {
		return errors.New("no default account")
	}
	return nil
}

// etcdStorage is the storage of a resource over an etcd of its own.
func etcdStorage(t *testing.T, resource Resource, services Services) map[string]rest.Storage {
	t.Helper()
	scheme, err := NewScheme([]Resource{resource})
	if err != nil {
		t.Fatal(err)
	}
	codec := serializer.NewCodecFactory(scheme).LegacyCodec(resource.GroupVersionResource().GroupVersion())
	config := storagebackend.NewDefaultConfig("/registry", codec)
	config.Transport.ServerList = testserver.RunEtcd(t, nil).Endpoints()
	options := generic.RESTOptions{
		StorageConfig:           config.ForResource(resource.GroupVersionResource().GroupResource()),
		Decorator:               generic.UndecoratedStorage,
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: 1,
		ResourcePrefix:          resource.GroupVersionResource().Resource,
	}
	storage, err := resource.Storage(Environment{Scheme: scheme, RESTOptions: options, Services: services})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(storage[resource.GroupVersionResource().Resource].Destroy)
	return storage
}

func createNamespace(t *testing.T, storage map[string]rest.Storage, namespace *corev1.Namespace, dryRun ...string) *corev1.Namespace {
	t.Helper()
	created, err := storage["namespaces"].(rest.Creater).Create(namespaceContext(t), namespace, rest.ValidateAllObjectFunc, &metav1.CreateOptions{DryRun: dryRun})
	if err != nil {
		t.Fatal(err)
	}
	return created.(*corev1.Namespace)
}

func namespaceContext(t *testing.T) context.Context {
	return genericapirequest.WithNamespace(t.Context(), "")
}

func deleteNamespace(t *testing.T, storage map[string]rest.Storage, name string, options *metav1.DeleteOptions) (*corev1.Namespace, bool, error) {
	t.Helper()
	deleted, gone, err := storage["namespaces"].(rest.GracefulDeleter).Delete(namespaceContext(t), name, rest.ValidateAllObjectFunc, options)
	if err != nil {
		return nil, gone, err
	}
	return deleted.(*corev1.Namespace), gone, nil
}

// updateNamespace writes through one side of the resource what change makes of
// the stored namespace.
func updateNamespace(t *testing.T, storage map[string]rest.Storage, side, name string, change func(*corev1.Namespace)) (*corev1.Namespace, error) {
	t.Helper()
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		namespace := old.DeepCopyObject().(*corev1.Namespace)
		change(namespace)
		return namespace, nil
	})
	updated, _, err := storage[side].(rest.Updater).Update(namespaceContext(t), name, info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return updated.(*corev1.Namespace), nil
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	starts := &namespaceStarts{}
	storage := etcdStorage(t, namespaces(), Services{NamespaceStarter: starts})
	get := func(t *testing.T, name string) (*corev1.Namespace, error) {
		found, err := storage["namespaces"].(rest.Getter).Get(namespaceContext(t), name, &metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return found.(*corev1.Namespace), nil
	}

	t.Run("are started when they are stored, and only then", func(t *testing.T) {
		createNamespace(t, storage, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "dry"}}, metav1.DryRunAll)
		createNamespace(t, storage, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "wet"}})
		createNamespace(t, storage, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "cursed"}})
		if diff := cmp.Diff([]string{"wet", "cursed"}, starts.names); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("begin active, held and labelled, generated names too", func(t *testing.T) {
		got := createNamespace(t, storage, &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "gen-"},
			Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"example.com/mine"}},
			Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating},
		})
		want := []corev1.FinalizerName{"example.com/mine", "kubernetes"}
		if !strings.HasPrefix(got.Name, "gen-") || got.Labels[corev1.LabelMetadataName] != got.Name || got.Status.Phase != corev1.NamespaceActive || !slices.Equal(got.Spec.Finalizers, want) {
			t.Errorf("created %+v", got)
		}
	})

	t.Run("keep finalizers, status and their label when they are updated", func(t *testing.T) {
		createNamespace(t, storage, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "steady"}})
		got, err := updateNamespace(t, storage, "namespaces", "steady", func(namespace *corev1.Namespace) {
			namespace.Labels = map[string]string{"a": "b"}
			namespace.Spec.Finalizers = nil
			namespace.Status.Phase = corev1.NamespaceTerminating
		})
		if err != nil {
			t.Fatal(err)
		}
		if got.Labels["a"] != "b" || got.Labels[corev1.LabelMetadataName] != "steady" || len(got.Spec.Finalizers) != 1 || got.Status.Phase != corev1.NamespaceActive {
			t.Errorf("updated to %+v", got)
		}
	})

	t.Run("cannot be talked into another phase", func(t *testing.T) {
		createNamespace(t, storage, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "phased"}})
		_, err := updateNamespace(t, storage, "namespaces/status", "phased", func(namespace *corev1.Namespace) {
			namespace.Status.Phase = corev1.NamespaceTerminating
		})
		want := "Namespace \"phased\" is invalid: status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})

	t.Run("end when they are deleted and then finalized", func(t *testing.T) {
		uid := createNamespace(t, storage, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "done"}}).UID
		got, gone, err := deleteNamespace(t, storage, "done", &metav1.DeleteOptions{})
		if err != nil || gone || got.Status.Phase != corev1.NamespaceTerminating || got.DeletionTimestamp.IsZero() {
			t.Fatalf("first deletion: %+v, gone %v, %v", got, gone, err)
		}
		again, gone, err := deleteNamespace(t, storage, "done", &metav1.DeleteOptions{})
		if err != nil || gone || again.ResourceVersion != got.ResourceVersion {
			t.Fatalf("second deletion: %+v, gone %v, %v", again, gone, err)
		}
		if _, err := updateNamespace(t, storage, "namespaces/status", "done", func(namespace *corev1.Namespace) {
			namespace.Status.Conditions = []corev1.NamespaceCondition{{Type: corev1.NamespaceContentRemaining, Status: corev1.ConditionTrue}}
		}); err != nil {
			t.Fatal(err)
		}
		if kept, err := get(t, "done"); err != nil || kept.UID != uid {
			t.Fatalf("a write of the status removed it: %v, %v", kept, err)
		}
		if _, err := updateNamespace(t, storage, "namespaces/finalize", "done", func(namespace *corev1.Namespace) { namespace.Spec.Finalizers = nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := get(t, "done"); !apierrors.IsNotFound(err) {
			t.Errorf("after its finalization: %v", err)
		}
	})

	t.Run("survive a deletion that is a dry run or of another", func(t *testing.T) {
		made := createNamespace(t, storage, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "safe"}})
		if _, _, err := deleteNamespace(t, storage, "safe", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Fatal(err)
		}
		other := types.UID("other")
		_, _, err := deleteNamespace(t, storage, "safe", &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}})
		want := `Operation cannot be fulfilled on namespaces "safe": Precondition failed: UID in precondition: other, UID in object meta: ` + string(made.UID)
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		old := "1"
		if _, _, err := deleteNamespace(t, storage, "safe", &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &old}}); !apierrors.IsConflict(err) {
			t.Errorf("of an old version: %v", err)
		}
		if got, err := get(t, "safe"); err != nil || got.ResourceVersion != made.ResourceVersion {
			t.Errorf("changed to %+v, %v", got, err)
		}
		if _, _, err := deleteNamespace(t, storage, "nowhere", &metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("of nothing: %v", err)
		}
	})

	t.Run("can be finalized only by writing", func(t *testing.T) {
		if _, ok := storage["namespaces/finalize"].(rest.Getter); ok {
			t.Error("namespaces/finalize can be read")
		}
		if _, ok := storage["namespaces"].(rest.CollectionDeleter); ok {
			t.Error("all namespaces can be deleted at once")
		}
		_, err := updateNamespace(t, storage, "namespaces/finalize", "safe", func(namespace *corev1.Namespace) {
			namespace.Spec.Finalizers = []corev1.FinalizerName{"kubernetes", "mine"}
		})
		if want := `Namespace "safe" is invalid: spec.finalizers[1]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified`; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

func TestTheEndOfANamespaceAsksTheCollectorWhatItsDeleterAsked(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	orphanDependents := func(orphan *bool) *metav1.DeleteOptions {
		//lint:ignore SA1019 clients still send it
		return &metav1.DeleteOptions{OrphanDependents: orphan}
	}
	policy := func(p metav1.DeletionPropagation) *metav1.DeleteOptions {
		return &metav1.DeleteOptions{PropagationPolicy: &p}
	}
	for name, test := range map[string]struct {
		options   *metav1.DeleteOptions
		had, want []string
	}{
		"nothing":         {options: &metav1.DeleteOptions{}, had: []string{"orphan"}, want: []string{"orphan"}},
		"orphans":         {options: policy(metav1.DeletePropagationOrphan), had: []string{"a/b", "foregroundDeletion"}, want: []string{"a/b", "orphan"}},
		"the foreground":  {options: policy(metav1.DeletePropagationForeground), had: []string{"orphan"}, want: []string{"foregroundDeletion"}},
		"the background":  {options: policy(metav1.DeletePropagationBackground), had: []string{"orphan", "foregroundDeletion"}, want: []string{}},
		"orphans of old":  {options: orphanDependents(&yes), want: []string{"orphan"}},
		"children of old": {options: orphanDependents(&no), want: []string{"foregroundDeletion"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Unix(1000, 0)
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Finalizers: test.had}}
			beginTermination(namespace, test.options, now)
			if diff := cmp.Diff(test.want, namespace.Finalizers); diff != "" {
				t.Error(diff)
			}
			if namespace.Status.Phase != corev1.NamespaceTerminating || !namespace.DeletionTimestamp.Time.Equal(now) {
				t.Errorf("phase %s, deleted %v", namespace.Status.Phase, namespace.DeletionTimestamp)
			}
		})
	}
}

func TestAdmissionSeesTheLabelOfAGeneratedName(t *testing.T) {
	t.Parallel()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "gen-x", GenerateName: "gen-"}}
	namespaces().(*Definition[*corev1.Namespace]).PrepareCreate(t.Context(), namespace)
	if got := namespace.Labels[corev1.LabelMetadataName]; got != "gen-x" {
		t.Errorf("label %q", got)
	}
}

func TestNamespacesAreSelectedByPhase(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := namespaces().Register(scheme); err != nil {
		t.Fatal(err)
	}
	kind := corev1.SchemeGroupVersion.WithKind("Namespace")
	for _, label := range []string{"metadata.name", "status.phase"} {
		if _, _, err := scheme.ConvertFieldLabel(kind, label, "x"); err != nil {
			t.Errorf("%s: %v", label, err)
		}
	}
	if _, _, err := scheme.ConvertFieldLabel(kind, "name", "x"); err == nil || err.Error() != "field label not supported: name" {
		t.Errorf("name: %v", err)
	}
}
