// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// writes are how objects come, change and go.
func writes() []test {
	return []test{
		{"a name is made up where only its beginning is given", generatedNames},
		{"what the server alone may set is not taken from a client", serverFields},
		{"of two writers of one version one wins", conflicts},
		{"a write that changes nothing makes no new version", sameWrite},
		{"a deletion may name the object that it means", preconditions},
		{"a dry run tells what would be, and changes nothing", dryRuns},
		{"an object with a finalizer waits for it", finalizers},
		{"a pod on a node waits for the grace of its deletion", gracefulDeletion},
		{"what is immutable stays as it is", immutableData},
		{"the status is written apart from the rest", statusApart},
		{"a request may say how long it waits", requestTimeout},
	}
}

func generatedNames(e *env) {
	pattern := regexp.MustCompile(`^made-up-[a-z0-9]{5}$`)
	seen := map[string]bool{}
	for range 10 {
		made, err := e.client.CoreV1().ConfigMaps(e.ns).Create(e.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "made-up-"}}, metav1.CreateOptions{})
		e.check(err)
		if !pattern.MatchString(made.Name) || seen[made.Name] {
			e.Errorf("the name is %q, want a new one that matches %s", made.Name, pattern)
		}
		seen[made.Name] = true
	}
}

func serverFields(e *env) {
	const uid = types.UID("11111111-2222-3333-4444-555555555555")
	long := metav1.NewTime(time.Unix(1, 0))
	made, err := e.client.CoreV1().ConfigMaps(e.ns).Create(e.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: "c", UID: uid, CreationTimestamp: long, DeletionTimestamp: &long,
	}}, metav1.CreateOptions{})
	e.check(err)
	if made.UID == uid || made.UID == "" || made.CreationTimestamp.Equal(&long) || made.DeletionTimestamp != nil {
		e.Errorf("the server has taken over from the client: %+v", made.ObjectMeta)
	}
}

func conflicts(e *env) {
	made := e.configMap("c", nil)
	const writers = 8
	var won atomic.Int32
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			mine := made.DeepCopy()
			mine.Data["writer"] = "me"
			mine.Annotations = map[string]string{"at": time.Now().String()}
			_, err := e.client.CoreV1().ConfigMaps(e.ns).Update(e.Context(), mine, metav1.UpdateOptions{})
			if err == nil {
				won.Add(1)
			} else if !apierrors.IsConflict(err) {
				e.Errorf("got error %v, want Conflict", err)
			}
		})
	}
	all.Wait()
	if got := won.Load(); got != 1 {
		e.Errorf("%d writers have won, want 1", got)
	}
	made.ResourceVersion = "" // whoever names no version means whatever there is
	_, err := e.client.CoreV1().ConfigMaps(e.ns).Update(e.Context(), made, metav1.UpdateOptions{})
	e.check(err)
}

func sameWrite(e *env) {
	made := e.configMap("c", nil)
	again, err := e.client.CoreV1().ConfigMaps(e.ns).Update(e.Context(), made.DeepCopy(), metav1.UpdateOptions{})
	e.check(err)
	if again.ResourceVersion != made.ResourceVersion {
		e.Errorf("the version was %s and is %s", made.ResourceVersion, again.ResourceVersion)
	}
}

func preconditions(e *env) {
	made := e.configMap("c", nil)
	maps := e.client.CoreV1().ConfigMaps(e.ns)
	for name, options := range map[string]metav1.DeleteOptions{
		"another UID":     {Preconditions: metav1.NewUIDPreconditions("11111111-2222-3333-4444-555555555555")},
		"another version": {Preconditions: &metav1.Preconditions{ResourceVersion: new("1")}},
	} {
		if err := maps.Delete(e.Context(), "c", options); !apierrors.IsConflict(err) {
			e.Errorf("%s: got error %v, want Conflict", name, err)
		}
	}
	both := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &made.UID, ResourceVersion: &made.ResourceVersion}}
	e.check(maps.Delete(e.Context(), "c", both))
}

func dryRuns(e *env) {
	made := e.configMap("c", nil)
	path := e.mapsPath()
	for _, dry := range []request{
		{method: http.MethodPost, path: path + "?dryRun=All", body: `{"metadata":{"name":"new"}}`},
		{method: http.MethodPut, path: path + "/c?dryRun=All", body: `{"metadata":{"name":"c"},"data":{"key":"other"}}`},
		{method: http.MethodPatch, path: path + "/c?dryRun=All", contentType: mergePatch, body: `{"data":{"key":"other"}}`},
		{method: http.MethodPatch, path: path + "/applied?dryRun=All&fieldManager=me", contentType: "application/apply-patch+yaml", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"applied"}}`},
		{method: http.MethodDelete, path: path + "/c?dryRun=All"},
	} {
		if got := e.do(dry); got.code >= 300 {
			e.Errorf("%s %s: the answer is %d %s", dry.method, dry.path, got.code, got.message())
		}
	}
	left, err := e.client.CoreV1().ConfigMaps(e.ns).Get(e.Context(), "c", metav1.GetOptions{})
	e.check(err)
	if left.ResourceVersion != made.ResourceVersion {
		e.Error("the object has changed")
	}
	if names := e.named(metav1.ListOptions{}); len(names) != 1 {
		e.Errorf("there are %q, want c alone", names)
	}
	e.do(request{method: http.MethodPost, path: path + "?dryRun=All", body: `{"metadata":{"name":"c"}}`}).want(e, http.StatusConflict)
}

func finalizers(e *env) {
	release := e.hold("c")
	e.deleteMap("c")
	held, err := e.client.CoreV1().ConfigMaps(e.ns).Get(e.Context(), "c", metav1.GetOptions{})
	e.check(err)
	if held.DeletionTimestamp == nil {
		e.Error("the object does not say that it is being deleted")
	}
	held.Finalizers = append(held.Finalizers, "conformance.example/late")
	if _, err := e.client.CoreV1().ConfigMaps(e.ns).Update(e.Context(), held, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		e.Errorf("a new finalizer: got error %v, want Invalid", err)
	}
	release()
	if _, err := e.client.CoreV1().ConfigMaps(e.ns).Get(e.Context(), "c", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		e.Errorf("after the finalizer has gone: got error %v, want NotFound", err)
	}
}

func gracefulDeletion(e *env) {
	pods := e.client.CoreV1().Pods(e.ns)
	e.pod("waiting", "", on(e.ns))
	e.pod("placeless", "")
	e.check(pods.Delete(e.Context(), "waiting", *metav1.NewDeleteOptions(25)))
	e.check(pods.Delete(e.Context(), "placeless", metav1.DeleteOptions{}))
	if _, err := pods.Get(e.Context(), "placeless", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		e.Errorf("a pod that runs nowhere: got error %v, want NotFound", err)
	}
	waiting, err := pods.Get(e.Context(), "waiting", metav1.GetOptions{})
	e.check(err)
	if waiting.DeletionTimestamp == nil || waiting.DeletionGracePeriodSeconds == nil || *waiting.DeletionGracePeriodSeconds != 25 {
		e.Errorf("the pod on a node ends at %v with a grace of %v, want 25 s", waiting.DeletionTimestamp, waiting.DeletionGracePeriodSeconds)
	}
	e.check(pods.Delete(e.Context(), "waiting", now()))
	if _, err := pods.Get(e.Context(), "waiting", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		e.Errorf("without grace: got error %v, want NotFound", err)
	}
}

func immutableData(e *env) {
	in := "/api/v1/namespaces/" + e.ns
	e.do(request{method: http.MethodPost, path: in + "/configmaps", body: `{"metadata":{"name":"c"},"data":{"key":"value"},"immutable":true}`}).want(e, http.StatusCreated)
	e.do(request{method: http.MethodPost, path: in + "/secrets", body: `{"metadata":{"name":"s"},"data":{"key":"dmFsdWU="},"immutable":true}`}).want(e, http.StatusCreated)
	e.pod("p", "")
	merge := func(what, path, body string) refused {
		return refused{what, request{method: http.MethodPatch, path: in + path, contentType: mergePatch, body: body}}
	}
	e.pinRefusals("refusals/immutable.txt", []refused{
		merge("the data of a config map", "/configmaps/c", `{"data":{"key":"other"}}`),
		merge("its immutability", "/configmaps/c", `{"immutable":false}`),
		merge("the data of a secret", "/secrets/s", `{"data":{"key":null}}`),
		merge("the type of a secret", "/secrets/s", `{"type":"example.com/x"}`),
		merge("the name", "/configmaps/c", `{"metadata":{"name":"other"}}`),
		merge("the UID", "/configmaps/c", `{"metadata":{"uid":"11111111-2222-3333-4444-555555555555"}}`),
	})
	e.patch("configmaps/c", mergePatch, `{"metadata":{"labels":{"a":"b"}}}`).want(e, http.StatusOK)
	// What differs follows in the server's own form.
	account := e.patch("pods/p", mergePatch, `{"spec":{"serviceAccountName":"other"}}`).want(e, http.StatusUnprocessableEntity)
	if want := "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"; !strings.Contains(account.message(), want) {
		e.Errorf("another account is refused with %q, want it to say %q", account.message(), want)
	}
}

func statusApart(e *env) {
	pod := e.pod("p", "")
	pod.Status.Phase = corev1.PodRunning
	pod.Labels = map[string]string{"by": "spec"}
	pod, err := e.client.CoreV1().Pods(e.ns).Update(e.Context(), pod, metav1.UpdateOptions{})
	e.check(err)
	if pod.Status.Phase != corev1.PodPending || pod.Labels["by"] != "spec" {
		e.Errorf("a write of the pod has made it %s, labelled %v", pod.Status.Phase, pod.Labels)
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Spec.Containers[0].Image = "registry.example/other"
	pod, err = e.client.CoreV1().Pods(e.ns).UpdateStatus(e.Context(), pod, metav1.UpdateOptions{})
	e.check(err)
	if pod.Status.Phase != corev1.PodRunning || strings.HasSuffix(pod.Spec.Containers[0].Image, "other") {
		e.Errorf("a write of the status has made it %s, of image %q", pod.Status.Phase, pod.Spec.Containers[0].Image)
	}
}

func requestTimeout(e *env) {
	e.do(request{method: http.MethodGet, path: e.mapsPath() + "?timeout=10s"}).want(e, http.StatusOK)
	e.do(request{method: http.MethodGet, path: e.mapsPath() + "?timeout=soon"}).want(e, http.StatusBadRequest)
}
