// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

var crashRounds = flag.Int("crash.rounds", 5, "how often the crash test kills a server under load")

// What the crash test is about: writers write, the server is killed, and what they were told is held against what there
// is after the next start.
//
//  1. A server starts. Now and then it is killed on the way.
//  2. Each writer creates, changes and deletes objects of its own, and notes in its ledger what was acknowledged.
//  3. The server is killed at a moment that nobody has chosen. Each writer ends with the request that failed; whether that
//     was carried out, nobody knows.
//  4. The next server starts on the same data dir, and must have what is in the ledgers.
func TestNothingAcknowledgedIsLostWhenAServerIsKilled(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	var writers []*writer
	for i := range 4 {
		writers = append(writers, &writer{name: fmt.Sprintf("w%d", i), ledger: map[string]string{}})
	}
	for round := range *crashRounds {
		if round%2 == 0 { // the first time on an empty data dir
			killOnTheWay(t, data)
		}
		server, config := run(t, data)
		acknowledged := 0
		for _, w := range writers {
			w.compare(t, config)
			acknowledged -= w.acknowledged
		}
		var writing sync.WaitGroup
		begun := make(chan struct{}, len(writers))
		for _, w := range writers {
			w.begun = begun
			writing.Go(func() { w.write(t.Context(), config) })
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			writing.Wait()
		}()
		select {
		case <-begun:
		case <-written:
			t.Fatalf("round %d: no server took the first write of anybody", round)
		}
		time.Sleep(rand.N(500 * time.Millisecond))
		server.end(syscall.SIGKILL)
		<-written
		for _, w := range writers {
			acknowledged += w.acknowledged
		}
		if acknowledged == 0 {
			t.Fatalf("round %d: nothing was written", round)
		}
	}
	server, config := run(t, data)
	for _, w := range writers {
		w.compare(t, config)
	}
	server.end(syscall.SIGTERM)
}

// killOnTheWay kills a server that is starting.
func killOnTheWay(t *testing.T, data string) {
	t.Helper()
	server, _, err := launch(filepath.Dir(data), "--data-dir", data)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(rand.N(300 * time.Millisecond))
	server.end(syscall.SIGKILL)
}

// writer writes objects whose names begin with its own.
type writer struct {
	name string
	// ledger holds the value of each object that exists, as far as was acknowledged, by resource and name.
	ledger       map[string]string
	acknowledged int
	made         int
	// begun gets a value with the first acknowledgement of a round.
	begun chan<- struct{}
	// unsure is the object of the request that failed, and what it would have become: its value, or "" if it was to go.
	unsure, become string
}

func crashResources() []string { return []string{"configmaps", "serviceaccounts"} }

// where is the collection of a resource.
func where(config *rest.Config, resource string) (dynamic.ResourceInterface, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource}).Namespace("default"), nil
}

// write writes until a request fails.
func (w *writer) write(ctx context.Context, config *rest.Config) {
	for {
		key, value := w.choose()
		w.unsure, w.become = key, value
		if err := w.do(ctx, config, key, value); err != nil {
			return
		}
		w.unsure = ""
		w.acknowledged++
		if w.begun != nil {
			w.begun <- struct{}{}
			w.begun = nil
		}
		if value == "" {
			delete(w.ledger, key)
		} else {
			w.ledger[key] = value
		}
	}
}

// choose is what to write next: an object and its value, or "" to delete it.
func (w *writer) choose() (key, value string) {
	w.made++
	existing := slices.Sorted(maps.Keys(w.ledger))
	if len(existing) < 3 || rand.N(3) == 0 {
		resource := crashResources()[rand.N(2)]
		return fmt.Sprintf("%s/%s-%d", resource, w.name, w.made), fmt.Sprint(w.made)
	}
	key = existing[rand.N(len(existing))]
	if rand.N(2) == 0 {
		return key, ""
	}
	return key, fmt.Sprint(w.made)
}

func (w *writer) do(ctx context.Context, config *rest.Config, key, value string) error {
	resource, name := filepath.Split(key)
	objects, err := where(config, filepath.Clean(resource))
	if err != nil {
		return err
	}
	if value == "" {
		return objects.Delete(ctx, name, metav1.DeleteOptions{})
	}
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": map[string]string{"configmaps/": "ConfigMap", "serviceaccounts/": "ServiceAccount"}[resource]}}
	object.SetName(name)
	object.SetAnnotations(map[string]string{"value": value})
	if _, exists := w.ledger[key]; exists {
		_, err = objects.Update(ctx, object, metav1.UpdateOptions{})
	} else {
		_, err = objects.Create(ctx, object, metav1.CreateOptions{})
	}
	return err
}

// compare holds the ledger against what there is. Of the request that failed, either end will do, and is noted.
func (w *writer) compare(t *testing.T, config *rest.Config) {
	t.Helper()
	there := map[string]string{}
	for _, resource := range crashResources() {
		objects, err := where(config, resource)
		if err != nil {
			t.Fatal(err)
		}
		list, err := objects.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range list.Items {
			if name := object.GetName(); len(name) > len(w.name) && name[:len(w.name)+1] == w.name+"-" {
				there[resource+"/"+name] = object.GetAnnotations()["value"]
			}
		}
	}
	if w.unsure != "" && there[w.unsure] == w.become {
		delete(w.ledger, w.unsure)
		if w.become != "" {
			w.ledger[w.unsure] = w.become
		}
	}
	w.unsure = ""
	for key, value := range w.ledger {
		if got, found := there[key]; !found || got != value {
			t.Errorf("%s was written as %q, and is %q after the crash", key, value, got)
		}
	}
	for key := range there {
		if _, known := w.ledger[key]; !known {
			t.Errorf("%s was deleted, and is there after the crash", key)
		}
	}
}
