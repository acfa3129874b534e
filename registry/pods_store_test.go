// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/warning"
)

// podStorage is the storage of pods and jobs over an etcd of its own.
func podStorage(t *testing.T) (pods, jobs map[string]rest.Storage, ctx context.Context) {
	t.Helper()
	scheme, err := NewScheme(Table())
	if err != nil {
		t.Fatal(err)
	}
	codec := serializer.NewCodecFactory(scheme).LegacyCodec(corev1.SchemeGroupVersion, batchv1.SchemeGroupVersion)
	config := storagebackend.NewDefaultConfig("/registry", codec)
	config.Transport.ServerList = []string{serviceEtcd(t)}
	env := Environment{Scheme: scheme, RESTOptions: serviceStoreOptions{config}}
	return podStorageOf(t, env, "pods"), podStorageOf(t, env, "jobs"), genericapirequest.WithNamespace(t.Context(), "dev")
}

func podStorageOf(t *testing.T, env Environment, plural string) map[string]rest.Storage {
	t.Helper()
	for _, resource := range Table() {
		if resource.GroupVersionResource().Resource != plural {
			continue
		}
		storage, err := resource.Storage(env)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(storage[plural].Destroy)
		return storage
	}
	t.Fatalf("no %s in the table", plural)
	return nil
}

func podCreated(t *testing.T, storage map[string]rest.Storage, ctx context.Context, name string) *corev1.Pod {
	t.Helper()
	pod := podMinimal()
	pod.ObjectMeta = metav1.ObjectMeta{Name: name, Namespace: "dev"}
	made, err := storage["pods"].(rest.Creater).Create(ctx, pod, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating a pod: %v", err)
	}
	return made.(*corev1.Pod)
}

func podBound(storage map[string]rest.Storage, ctx context.Context, binding *corev1.Binding, options *metav1.CreateOptions) error {
	_, err := storage["pods/binding"].(rest.NamedCreater).Create(ctx, binding.Name, binding, rest.ValidateAllObjectFunc, options)
	return err
}

func podRead(t *testing.T, storage map[string]rest.Storage, ctx context.Context, name string) *corev1.Pod {
	t.Helper()
	pod, err := storage["pods"].(rest.Getter).Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		t.Fatalf("reading a pod: %v", err)
	}
	return pod.(*corev1.Pod)
}

func TestAPodIsGivenToANodeOnce(t *testing.T) {
	t.Parallel()
	storage, _, ctx := podStorage(t)
	made := podCreated(t, storage, ctx, "p")
	binding := func(node string, uid types.UID) *corev1.Binding {
		return &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "dev", UID: uid, Labels: map[string]string{"zone": "a"}},
			Target:     corev1.ObjectReference{Kind: "Node", Name: node},
		}
	}
	if err := podBound(storage, ctx, binding("n", "another"), &metav1.CreateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("binding another pod of the name: %v, want a conflict", err)
	}
	if err := podBound(storage, ctx, binding("n", made.UID), &metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("binding for a try: %v", err)
	}
	if node := podRead(t, storage, ctx, "p").Spec.NodeName; node != "" {
		t.Errorf("a try has given the pod to %q", node)
	}
	if err := podBound(storage, ctx, binding("n", made.UID), &metav1.CreateOptions{}); err != nil {
		t.Fatalf("binding: %v", err)
	}
	bound := podRead(t, storage, ctx, "p")
	scheduled := podCondition(&bound.Status, corev1.PodScheduled)
	if bound.Spec.NodeName != "n" || bound.Labels["zone"] != "a" || scheduled == nil || scheduled.Status != corev1.ConditionTrue {
		t.Errorf("bound to %q with labels %v, scheduled %v", bound.Spec.NodeName, bound.Labels, scheduled)
	}
	err := podBound(storage, ctx, binding("m", ""), &metav1.CreateOptions{})
	const want = `Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n"`
	if !apierrors.IsConflict(err) || err.Error() != want {
		t.Errorf("binding again: %v, want %s", err, want)
	}
	missing := binding("n", "")
	missing.Name = "absent"
	if err := podBound(storage, ctx, missing, &metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("binding a pod that is not there: %v", err)
	}
	if err := podBound(storage, ctx, binding("", ""), &metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "target.name: Required value") {
		t.Errorf("binding to nothing: %v", err)
	}
}

func TestAPodOnANodeEndsInTwoSteps(t *testing.T) {
	t.Parallel()
	storage, _, ctx := podStorage(t)
	podCreated(t, storage, ctx, "p")
	remove := func(name string, options *metav1.DeleteOptions) (*corev1.Pod, bool) {
		t.Helper()
		pod, gone, err := storage["pods"].(rest.GracefulDeleter).Delete(ctx, name, rest.ValidateAllObjectFunc, options)
		if err != nil {
			t.Fatalf("deleting a pod: %v", err)
		}
		return pod.(*corev1.Pod), gone
	}
	if pod, gone := remove("p", &metav1.DeleteOptions{}); !gone || pod.Name != "p" {
		t.Errorf("a pod without a node is gone: %v, and was %q", gone, pod.Name)
	}
	podCreated(t, storage, ctx, "q")
	target := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Target: corev1.ObjectReference{Name: "n"}}
	if err := podBound(storage, ctx, target, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if pod, gone := remove("q", &metav1.DeleteOptions{}); gone || pod.DeletionTimestamp == nil || *pod.DeletionGracePeriodSeconds != 30 {
		t.Errorf("a pod on a node: gone %v, deleted at %v, grace %v", gone, pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds)
	}
	if err := podBound(storage, ctx, target, &metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "is being deleted, cannot be assigned to a host") {
		t.Errorf("binding a pod that ends: %v", err)
	}
	if _, gone := remove("q", &metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); !gone {
		t.Error("the node's confirmation left the pod there")
	}
}

func TestADebuggerEntersThroughItsOwnDoor(t *testing.T) {
	t.Parallel()
	storage, _, ctx := podStorage(t)
	pod := podCreated(t, storage, ctx, "p")
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "d", Image: "tools"}}}
	pod.Spec.Containers[0].Image = "smuggled"
	defaultPod(pod)
	update := func(plural string) (runtime.Object, error) {
		obj, _, err := storage[plural].(rest.Updater).Update(ctx, "p", rest.DefaultUpdatedObjectInfo(pod), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, true, &metav1.UpdateOptions{})
		return obj, err
	}
	if _, err := update("pods"); !apierrors.IsInvalid(err) {
		t.Errorf("through the front door: %v", err)
	}
	obj, err := update("pods/ephemeralcontainers")
	if err != nil {
		t.Fatal(err)
	}
	got := obj.(*corev1.Pod)
	if len(got.Spec.EphemeralContainers) != 1 || got.Spec.Containers[0].Image == "smuggled" || got.Generation != 2 {
		t.Errorf("got %d containers, image %q, generation %d", len(got.Spec.EphemeralContainers), got.Spec.Containers[0].Image, got.Generation)
	}
	made := podMinimal(func(pod *corev1.Pod) { pod.Spec.EphemeralContainers = got.Spec.EphemeralContainers })
	made.ObjectMeta = metav1.ObjectMeta{Name: "r", Namespace: "dev"}
	if _, err := storage["pods"].(rest.Creater).Create(ctx, made, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("at creation: %v", err)
	}
}

func TestAStoredJobReadsBackWithItsLabels(t *testing.T) {
	t.Parallel()
	_, storage, ctx := podStorage(t)
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "j", Namespace: "dev"},
		Spec:       *jobMinimal().Spec.DeepCopy(),
	}
	job.Spec.Selector, job.Spec.Template.Labels = nil, nil
	made, err := storage["jobs"].(rest.Creater).Create(ctx, job, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := made.(*batchv1.Job)
	if uid := string(got.UID); got.Labels["controller-uid"] != uid || got.Spec.Selector.MatchLabels["batch.kubernetes.io/controller-uid"] != uid {
		t.Errorf("labels %v and selector %v of %s", got.Labels, got.Spec.Selector, uid)
	}
	warned := podWarningList{}
	_, _, err = storage["jobs"].(rest.GracefulDeleter).Delete(warning.WithWarningRecorder(ctx, &warned), "j", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
	if err != nil || len(warned) != 1 || !strings.HasPrefix(warned[0], "child pods are preserved by default") {
		t.Errorf("deleting a job: %v, warnings %q", err, warned)
	}
}

// podWarningList collects warnings.
type podWarningList []string

func (l *podWarningList) AddWarning(_, text string) { *l = append(*l, text) }
