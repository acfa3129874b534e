// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/mustertest"
)

// replica is a server with the clients that the workers use.
type replica struct {
	server *mustertest.Server
	client kubernetes.Interface
	any    metadata.Interface
}

func newReplica(t *testing.T, s *mustertest.Server) replica {
	t.Helper()
	config := s.Admin()
	config.ContentType = "" // for metadata, JSON is enough
	any, err := metadata.NewForConfig(config)
	if err != nil {
		t.Error(err)
	}
	return replica{server: s, client: s.Client(), any: any}
}

// kinds are what tokens are bound to, and how one is made.
var kinds = map[schema.GroupVersionResource]func(t *testing.T, r replica, name string) (metav1.Object, error){
	corev1.SchemeGroupVersion.WithResource("pods"): func(t *testing.T, r replica, name string) (metav1.Object, error) {
		return r.client.CoreV1().Pods("dev").Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PodSpec{ServiceAccountName: "keeper", Containers: []corev1.Container{{Name: "main", Image: "example.com/worker"}}},
		}, metav1.CreateOptions{})
	},
	corev1.SchemeGroupVersion.WithResource("secrets"): func(t *testing.T, r replica, name string) (metav1.Object, error) {
		return r.client.CoreV1().Secrets("dev").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	},
	corev1.SchemeGroupVersion.WithResource("nodes"): func(t *testing.T, r replica, name string) (metav1.Object, error) {
		return r.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	},
	corev1.SchemeGroupVersion.WithResource("serviceaccounts"): func(t *testing.T, r replica, name string) (metav1.Object, error) {
		return r.client.CoreV1().ServiceAccounts("dev").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	},
}

// stage is where the workers act.
type stage struct {
	replicas [3]replica
	wires    [3]*wire
	slots    []*slot
}

// slot is a name under which one object after the other exists.
type slot struct {
	kind schema.GroupVersionResource
	name string

	mu sync.Mutex
	// current was made last, and bound are tokens, the newest last. Guarded by mu.
	current types.UID
	bound   []boundToken
}

type boundToken struct {
	object types.UID
	token  string
}

// keptTokens is how many tokens of a slot are shown: that of the object that exists, and those of some before it.
const keptTokens = 3

// worker is a client, or many.
type worker struct {
	t          *testing.T
	stage      *stage
	id         int
	began      time.Time
	random     *rand.Rand
	operations []operation
}

// act does one thing somewhere.
func (w *worker) act() {
	s := w.stage.slots[w.random.IntN(len(w.stage.slots))]
	r := w.random.IntN(len(w.stage.replicas))
	writer := []int{near, near, farStrict, farStrict, far}[w.random.IntN(5)] // a far one takes long to write
	s.mu.Lock()
	current, bound := s.current, s.bound
	s.mu.Unlock()
	switch dice := w.random.IntN(10); {
	case current == "" || dice < 1:
		w.make(s, writer)
	case dice < 3:
		w.end(s, writer, current)
		// Who has been told that it is gone may ask the next one at once.
		for _, b := range bound {
			if b.object == current {
				w.show([]int{writer, far, r}[w.random.IntN(3)], b)
			}
		}
	case len(bound) > 0:
		w.show(r, bound[w.random.IntN(len(bound))])
	}
}

// do notes when something was done. It is forgotten if do does not know of what object.
func (w *worker) do(replica int, do func() (deed, types.UID, error)) {
	call := time.Since(w.began)
	deed, object, err := do()
	answer := time.Since(w.began)
	if err != nil {
		w.t.Error(err)
		return
	}
	if object != "" {
		w.operations = append(w.operations, operation{deed: deed, object: object, replica: replica, worker: w.id, call: call, answer: answer})
	}
}

// make makes an object where there is none, and asks another replica for a token.
func (w *worker) make(s *slot, replica int) {
	var made types.UID
	w.do(replica, func() (deed, types.UID, error) {
		object, err := kinds[s.kind](w.t, w.stage.replicas[replica], s.name)
		if apierrors.IsAlreadyExists(err) {
			return makes, "", nil
		}
		if err != nil {
			return makes, "", fmt.Errorf("making %s %q: %w", s.kind.Resource, s.name, err)
		}
		made = object.GetUID()
		return makes, made, nil
	})
	if made == "" {
		return
	}
	token, err := w.bind(s, made)
	if err != nil {
		w.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = made
	if token != "" {
		s.bound = append(s.bound[max(0, len(s.bound)-keptTokens+1):len(s.bound):len(s.bound)], boundToken{made, token})
	}
}

// bind asks for a token bound to an object. It is empty if somebody has deleted the object already.
func (w *worker) bind(s *slot, object types.UID) (string, error) {
	client := w.stage.replicas[w.random.IntN(len(w.stage.replicas))].client
	account, request := "keeper", &authenticationv1.TokenRequest{}
	switch s.kind.Resource {
	case "serviceaccounts":
		account, request.UID = s.name, object
	case "pods", "secrets", "nodes":
		kind := map[string]string{"pods": "Pod", "secrets": "Secret", "nodes": "Node"}[s.kind.Resource]
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: s.name, UID: object}
	}
	answer, err := client.CoreV1().ServiceAccounts("dev").CreateToken(w.t.Context(), account, request, metav1.CreateOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("asking for a token of %s %q: %w", s.kind.Resource, s.name, err)
	}
	return answer.Status.Token, nil
}

// end deletes an object, unless somebody else has.
func (w *worker) end(s *slot, replica int, object types.UID) {
	w.do(replica, func() (deed, types.UID, error) {
		var resource metadata.ResourceInterface = w.stage.replicas[replica].any.Resource(s.kind).Namespace("dev")
		if s.kind.Resource == "nodes" {
			resource = w.stage.replicas[replica].any.Resource(s.kind)
		}
		options := metav1.NewDeleteOptions(0)
		options.Preconditions = &metav1.Preconditions{UID: &object}
		err := resource.Delete(w.t.Context(), s.name, *options)
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return ends, "", nil
		}
		if err != nil {
			return ends, "", fmt.Errorf("deleting %s %q: %w", s.kind.Resource, s.name, err)
		}
		return ends, object, nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == object {
		s.current = ""
	}
}

// show shows a token, by a review or as the bearer of a request.
func (w *worker) show(replica int, bound boundToken) {
	check := w.reviewed
	if w.random.IntN(2) == 0 {
		check = w.borne
	}
	w.check(replica, bound, check)
}

// review shows a token by a review.
func (w *worker) review(replica int, bound boundToken) { w.check(replica, bound, w.reviewed) }

func (w *worker) check(replica int, bound boundToken, check func(r replica, token string) (bool, error)) {
	w.do(replica, func() (deed, types.UID, error) {
		began := time.Now()
		good, err := check(w.stage.replicas[replica], bound.token)
		if err != nil {
			return refuses, "", fmt.Errorf("showing a token: %w", err)
		}
		if good {
			return accepts, bound.object, nil
		}
		if replica == farStrict && time.Since(began) >= strictPatience {
			return refuses, "", nil // it could not learn how the store is, which says nothing of the token
		}
		return refuses, bound.object, nil
	})
}

// strictPatience is how long a strict replica waits for the store, and then lets nobody in.
const strictPatience = 2 * time.Second

func (w *worker) reviewed(r replica, token string) (bool, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := r.client.AuthenticationV1().TokenReviews().Create(w.t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return answer.Status.Authenticated, nil
}

func (w *worker) borne(r replica, token string) (bool, error) {
	config := rest.AnonymousClientConfig(r.server.Admin())
	config.BearerToken = token
	client, err := authenticationclient.NewForConfig(config)
	if err != nil {
		return false, err
	}
	_, err = client.SelfSubjectReviews().Create(w.t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if apierrors.IsUnauthorized(err) {
		return false, nil
	}
	return err == nil, err
}
