// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// deputyName is the argv[0] by which a process knows itself to be a deputy.
const deputyName = "muster-run-deputy"

// errand is what a deputy reads from its standard input: whose Lease it renews, and as whom.
type errand struct {
	Namespace, Pod string
	Kubeconfig     []byte // with the caller's credentials: it never touches a disk
}

// deputise starts a process that renews the Lease in place of this one, which is about to stop, and returns the
// function that ends it. Should this process be killed while it is stopped the deputy dies as well, with the calling
// goroutine's thread, and the Lease lapses. After an error there is no deputy, and the Lease lapses if this process
// stops for long.
func (l *lease) deputise(ctx context.Context, config *rest.Config) (relieve func(), err error) {
	none := func() {}
	kubeconfig, err := callersKubeconfig(config)
	if err != nil {
		return none, fmt.Errorf("deputising the lease's renewal: %w", err)
	}
	deputy := exec.CommandContext(ctx, "/proc/self/exe")
	deputy.Args = []string{deputyName}
	// In a process group of its own, out of the terminal's reach.
	deputy.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	orders, err := deputy.StdinPipe()
	if err == nil {
		err = deputy.Start()
	}
	if err != nil {
		return none, fmt.Errorf("deputising the lease's renewal: %w", err)
	}
	relieve = func() {
		_ = deputy.Process.Kill()
		_ = deputy.Wait() // it was killed
	}
	err = json.NewEncoder(orders).Encode(errand{l.pod.Namespace, l.pod.Name, kubeconfig})
	if err = errors.Join(err, orders.Close()); err != nil {
		relieve()
		return none, fmt.Errorf("deputising the lease's renewal: %w", err)
	}
	return relieve, nil
}

// renewAsDeputy renews the Lease that the orders name, at once and from then on, until it is gone: a deputy makes none.
// Nobody hears of its troubles, so it has none.
func renewAsDeputy(orders io.Reader) error {
	var to errand
	if err := json.NewDecoder(orders).Decode(&to); err != nil {
		return err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(to.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := coordinationv1client.NewForConfig(config)
	if err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: to.Namespace, Name: to.Pod}}
	l := &lease{client: client.Leases(to.Namespace), now: time.Now, pod: pod}
	for tick := time.Tick(leaseRenewal); ; <-tick {
		if err := inTime(context.Background(), l.touch); apierrors.IsNotFound(err) {
			return err
		}
	}
}

// callersKubeconfig writes down how config reaches its server, and as whom.
func callersKubeconfig(config *rest.Config) ([]byte, error) {
	server, err := serverURL(config)
	if err != nil {
		return nil, err
	}
	cluster, err := clusterOf(config, server)
	if err != nil {
		return nil, err
	}
	cluster.CertificateAuthority, cluster.CertificateAuthorityData = config.CAFile, config.CAData
	return writeKubeconfig(cluster, &clientcmdapi.AuthInfo{
		ClientCertificate: config.CertFile, ClientCertificateData: config.CertData,
		ClientKey: config.KeyFile, ClientKeyData: config.KeyData,
		Token: config.BearerToken, TokenFile: config.BearerTokenFile,
		Username: config.Username, Password: config.Password,
		Impersonate: config.Impersonate.UserName, ImpersonateUID: config.Impersonate.UID,
		ImpersonateGroups: config.Impersonate.Groups, ImpersonateUserExtra: config.Impersonate.Extra,
		AuthProvider: config.AuthProvider, Exec: config.ExecProvider,
	}, "")
}
