// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
)

const fakeCA = "the cluster's CA bundle\n"

// fakeServer is an API server as far as a Process sees one: it gives UIDs and tokens, and it can refuse a request
// or lose the answer to it.
type fakeServer struct {
	*fake.Clientset
	mu     sync.Mutex
	uids   int
	tokens int
	// Errors by "verb resource[/subresource]": refuse is answered in place of doing it, lose after doing it.
	refuse, lose map[string]error
	life         time.Duration // of tokens, from now
}

func newFakeServer() *fakeServer {
	s := &fakeServer{refuse: map[string]error{}, lose: map[string]error{}, life: tokenSeconds * time.Second}
	s.Clientset = fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "kube-root-ca.crt"},
		Data:       map[string]string{"ca.crt": fakeCA},
	})
	s.PrependReactor("*", "*", s.react)
	s.PrependWatchReactor("*", func(action clienttesting.Action) (bool, watch.Interface, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		err := s.refuse[nameOf(action)]
		return err != nil, nil, err
	})
	return s
}

func (s *fakeServer) react(action clienttesting.Action) (bool, runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := nameOf(action)
	if err := s.refuse[name]; err != nil {
		return true, nil, err
	}
	var answer runtime.Object
	var err error
	create, isCreate := action.(clienttesting.CreateAction)
	switch {
	case isCreate && action.GetSubresource() == "token":
		answer = s.sign(create.GetObject().(*authenticationv1.TokenRequest))
	case isCreate:
		if object, err := meta.Accessor(create.GetObject()); err == nil {
			s.uids++
			object.SetUID(types.UID(fmt.Sprintf("uid-%d", s.uids)))
		}
		if s.lose[name] == nil {
			return false, nil, nil
		}
		err = s.Tracker().Create(action.GetResource(), create.GetObject(), action.GetNamespace())
	default:
		return false, nil, nil
	}
	if lost := s.lose[name]; lost != nil && err == nil {
		delete(s.lose, name)
		return true, nil, lost
	}
	return true, answer, err
}

func (s *fakeServer) sign(request *authenticationv1.TokenRequest) *authenticationv1.TokenRequest {
	s.tokens++
	request.Spec.ExpirationSeconds = new(int64(s.life / time.Second))
	request.Status.Token = fmt.Sprintf("token-%d", s.tokens)
	request.Status.ExpirationTimestamp = metav1.NewTime(time.Now().Add(s.life))
	return request
}

// fail sets what a request is answered in place of doing it; nil ends that.
func (s *fakeServer) fail(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[name] = err
}

func nameOf(action clienttesting.Action) string {
	name := action.GetVerb() + " " + action.GetResource().Resource
	if sub := action.GetSubresource(); sub != "" {
		name += "/" + sub
	}
	return name
}

// watching returns a channel that is closed when somebody watches Pods.
func (s *fakeServer) watching() <-chan struct{} {
	begun := make(chan struct{})
	once := sync.OnceFunc(func() { close(begun) })
	s.PrependWatchReactor("pods", func(action clienttesting.Action) (bool, watch.Interface, error) {
		events, err := s.Tracker().Watch(action.GetResource(), action.GetNamespace())
		once()
		return true, events, err
	})
	return begun
}

// asked lists the requests so far, without those that follow the Pod or tell of it: they come in their own time.
func (s *fakeServer) asked() []string {
	var out []string
	for _, action := range s.Actions() {
		switch name := nameOf(action); name {
		case "get pods", "watch pods", "patch pods/status":
		default:
			out = append(out, name)
		}
	}
	return out
}

// left names the Pods and Leases that there are.
func (s *fakeServer) left() string {
	pods, _ := s.CoreV1().Pods("").List(context.Background(), metav1.ListOptions{})
	leases, _ := s.CoordinationV1().Leases("").List(context.Background(), metav1.ListOptions{})
	var out []string
	for _, pod := range pods.Items {
		out = append(out, "pod "+pod.Name)
	}
	for _, lease := range leases.Items {
		out = append(out, "lease "+lease.Name)
	}
	return strings.Join(out, ", ")
}

func (s *fakeServer) process(dir, command string, args ...string) *Process {
	return &Process{
		Client:         s.Clientset,
		Config:         &rest.Config{Host: "https://muster.test:6443", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("the caller's CA bundle\n")}},
		Namespace:      "dev",
		ServiceAccount: "robot",
		NodeName:       "ship",
		Command:        command,
		Args:           args,
		Dir:            dir,
	}
}
