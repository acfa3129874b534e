// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/bench/system"
)

var (
	attached  = flag.String("attached", "", "folder of muster, kube-controller-manager and kube-scheduler")
	attachFor = flag.Duration("attach.for", 5*time.Minute, "how long Kubernetes' controllers run against Muster")
)

const (
	// patience is how long a controller may take for what it does in a moment.
	patience = 30 * time.Second
	// busyRounds is how many rounds go on at a time, and roundPause is the
	// pause between two of one of these.
	busyRounds = 4
	roundPause = 500 * time.Millisecond
)

// ignored are complaints that have nothing to do with the server.
var ignored = []string{"The manifest file is empty, ignoring."}

// Kubernetes' own controllers and scheduler find all that they need.
func TestAttachedControllersOfKubernetesComplainOfNothing(t *testing.T) {
	if *attached == "" {
		t.Skip("-attached does not say where the programs are: `make attach` builds and names them")
	}
	bin, dir := system.Binaries(*attached), t.TempDir()
	key := filepath.Join(dir, "tokens.key")
	if _, err := system.WriteES256Key(key); err != nil {
		t.Fatal(err)
	}
	muster, err := system.StartMuster(t.Context(), bin, dir, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(muster.Stop)
	if err := muster.Attach(bin, dir, key); err != nil {
		t.Fatal(err)
	}
	config := *muster.Admin
	config.QPS, config.Burst = 1000, 1000
	client, err := kubernetes.NewForConfig(&config)
	if err != nil {
		t.Fatal(err)
	}
	a := &attachment{client: client, until: time.Now().Add(*attachFor), rounds: make(chan round)}
	if err := a.addNode(t.Context()); err != nil {
		t.Fatal(err)
	}
	for worker := range busyRounds {
		go a.work(t.Context(), worker)
	}
	var done []round
	for ended := 0; ended < busyRounds; {
		switch r := <-a.rounds; {
		case r.err != nil:
			ended++
			t.Error(r.err)
		case r == (round{}):
			ended++
		default:
			done = append(done, r)
		}
	}
	a.report(t, done)
	complaints(t, muster)
	usageOf(t, muster)
}

func complaints(t *testing.T, s *system.System) {
	t.Helper()
	if err := s.Running(); err != nil {
		t.Error(err)
	}
	all, err := s.Complaints()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range all {
		if !slices.ContainsFunc(ignored, func(text string) bool { return strings.Contains(line, text) }) {
			t.Error(line)
		}
	}
}

// attachment is what is asked of the controllers, in rounds.
type attachment struct {
	client kubernetes.Interface
	until  time.Time
	// rounds gets each round that is over, and an empty one or an error from each
	// worker at its end.
	rounds chan round
}

// A round is how long each loop took for its part.
type round struct {
	bound, filled, completed, ended time.Duration
	err                             error
}

func (a *attachment) work(ctx context.Context, worker int) {
	for number := 0; time.Now().Before(a.until); number++ {
		r := a.round(ctx, fmt.Sprintf("round-%d-%d", worker, number))
		a.rounds <- r
		if r.err != nil {
			return
		}
		time.Sleep(roundPause)
	}
	a.rounds <- round{}
}

func (a *attachment) addNode(ctx context.Context) error {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("32Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	node, err := a.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	node.Status.Capacity, node.Status.Allocatable = capacity, capacity
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	_, err = a.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}

// round has a Job run in a namespace of its own, a Secret filled with a token,
// and the namespace emptied. It plays the kubelet.
func (a *attachment) round(ctx context.Context, namespace string) (r round) {
	_, r.err = a.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	for _, part := range []struct {
		took *time.Duration
		do   func(context.Context, string) error
	}{{&r.bound, a.pod}, {&r.filled, a.token}, {&r.completed, a.complete}, {&r.ended, a.end}} {
		if r.err != nil {
			return r
		}
		begun := time.Now()
		r.err = part.do(ctx, namespace)
		*part.took = time.Since(begun)
	}
	return r
}

func (a *attachment) pod(ctx context.Context, namespace string) error {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "job"}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{
			Name: "main", Image: "registry.example/main",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
		}},
	}}}}
	if _, err := a.client.BatchV1().Jobs(namespace).Create(ctx, job, metav1.CreateOptions{}); err != nil {
		return err
	}
	return until(ctx, "the pod of the job in "+namespace+" is bound", func(ctx context.Context) (bool, error) {
		pod, err := a.podOf(ctx, namespace)
		return pod != nil && pod.Spec.NodeName != "", err
	})
}

func (a *attachment) podOf(ctx context.Context, namespace string) (*corev1.Pod, error) {
	pods, err := a.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil || len(pods.Items) == 0 {
		return nil, err
	}
	return &pods.Items[0], nil
}

func (a *attachment) token(ctx context.Context, namespace string) error {
	secrets := a.client.CoreV1().Secrets(namespace)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	if _, err := secrets.Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return err
	}
	var token string
	err := until(ctx, "the secret in "+namespace+" has a token", func(ctx context.Context) (bool, error) {
		filled, err := secrets.Get(ctx, "token", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		token = string(filled.Data[corev1.ServiceAccountTokenKey])
		return token != "" && len(filled.Data[corev1.ServiceAccountRootCAKey]) > 0, nil
	})
	if err != nil {
		return err
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	if review, err = a.client.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{}); err != nil {
		return err
	}
	if want := "system:serviceaccount:" + namespace + ":default"; review.Status.User.Username != want {
		return fmt.Errorf("the token is that of %q (%s), want %q", review.Status.User.Username, review.Status.Error, want)
	}
	return nil
}

func (a *attachment) complete(ctx context.Context, namespace string) error {
	pod, err := a.podOf(ctx, namespace)
	if err != nil {
		return err
	}
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", FinishedAt: metav1.Now()}},
	}}
	if _, err := a.client.CoreV1().Pods(namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return until(ctx, "the job in "+namespace+" is complete", func(ctx context.Context) (bool, error) {
		job, err := a.client.BatchV1().Jobs(namespace).Get(ctx, "job", metav1.GetOptions{})
		return err == nil && job.Status.CompletionTime != nil, err
	})
}

func (a *attachment) end(ctx context.Context, namespace string) error {
	if err := a.client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return until(ctx, "namespace "+namespace+" is gone", func(ctx context.Context) (bool, error) {
		_, err := a.client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// until waits for a condition, within patience.
func until(ctx context.Context, what string, holds func(context.Context) (bool, error)) error {
	if err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, patience, true, holds); err != nil {
		return fmt.Errorf("waiting until %s: %w", what, err)
	}
	return nil
}

func (a *attachment) report(t *testing.T, done []round) {
	t.Helper()
	if len(done) == 0 {
		t.Fatal("no round was completed")
	}
	t.Logf("%d rounds in %v", len(done), *attachFor)
	for _, part := range []struct {
		name string
		took func(round) time.Duration
	}{
		{"a Job's pod is bound", func(r round) time.Duration { return r.bound }},
		{"a Secret has its token", func(r round) time.Duration { return r.filled }},
		{"a Job is complete", func(r round) time.Duration { return r.completed }},
		{"a namespace is gone", func(r round) time.Duration { return r.ended }},
	} {
		var times []time.Duration
		for _, r := range done {
			times = append(times, part.took(r))
		}
		slices.Sort(times)
		round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
		t.Logf("%-24s median %v, 99%% %v, longest %v", part.name, round(times[len(times)/2]), round(times[len(times)*99/100]), round(times[len(times)-1]))
	}
}

func usageOf(t *testing.T, s *system.System) {
	t.Helper()
	server, others, err := s.Memory()
	if err != nil {
		t.Fatal(err)
	}
	used, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("muster: %d MB, %v; the others: %d MB, %v", server>>20, used.Server.Round(time.Second), others>>20, used.Others.Round(time.Second))
}
