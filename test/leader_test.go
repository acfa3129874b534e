// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	etcdtransport "go.etcd.io/etcd/client/pkg/v3/transport"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// leaderOf is who holds the lease of the controllers; "" if nobody does.
func leaderOf(t *testing.T, client kubernetes.Interface) string {
	t.Helper()
	lease, err := client.CoordinationV1().Leases("kube-system").Get(t.Context(), "muster-controllers", metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// promisesAreKept makes a namespace and waits for its CA bundle, and for the return of its default account.
func promisesAreKept(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().ServiceAccounts(name).Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "namespace "+name+" has what it should", func() bool {
		_, err := client.CoreV1().ConfigMaps(name).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		if err == nil {
			_, err = client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		}
		return err == nil
	})
}

// One server of a store keeps the promises. Another does when it has been killed, as soon as its lease has expired, and
// at once when it was stopped.
func TestAnotherServerTakesOverFromTheLeader(t *testing.T) {
	t.Parallel()
	etcd := externalEtcd(t, etcdtransport.TLSInfo{})
	const lease, retry = 12 * time.Second, 200 * time.Millisecond
	start := func(name, lease string) (*process, kubernetes.Interface) {
		p, config := run(t, filepath.Join(t.TempDir(), name), "--etcd-servers", etcd,
			"--leader-elect-lease-duration", lease, "--leader-elect-renew-deadline", "1s", "--leader-elect-retry-period", retry.String())
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		return p, client
	}
	led := func(client kubernetes.Interface, not string) (leader string) {
		eventually(t, "there is another leader", func() bool {
			leader = leaderOf(t, client)
			return leader != "" && leader != not
		})
		return leader
	}
	one, client := start("one", "2s")
	first := led(client, "")
	promisesAreKept(t, client, "dev1")
	two, client := start("two", "2s")

	one.end(syscall.SIGKILL)
	second := led(client, first)
	promisesAreKept(t, client, "dev2")

	// The third waits for so long that it cannot be the expiry that makes it the leader.
	_, client = start("three", lease.String())
	two.end(syscall.SIGTERM)
	if code := two.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the leader that was stopped exited with code %d\n%s", code, two.stderr.String())
	}
	stopped := time.Now()
	led(client, second)
	if waited := time.Since(stopped); waited >= lease/2 {
		t.Errorf("the next leader came after %s, want it about %s after the lease was given back", waited, retry)
	}
	promisesAreKept(t, client, "dev3")
	events, err := client.CoreV1().Events("kube-system").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=LeaderElection"})
	if err != nil || len(events.Items) == 0 {
		t.Errorf("%d events tell of leaders, error %v", len(events.Items), err)
	}
}
