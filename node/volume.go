// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"math/rand/v2"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/muster-identity/muster/projection"
)

const (
	// tokenSeconds is what the ServiceAccount admission asks for in each Pod's own volume
	// (Kubernetes: plugin/pkg/admission/serviceaccount).
	tokenSeconds = 3607
	// volumeResync is how often the volume is looked at, as often as a kubelet does.
	volumeResync = time.Minute
)

// volume keeps a Pod's token, CA bundle and namespace on disk.
type volume struct {
	client    corev1client.CoreV1Interface
	namespace string
	token     *TokenKeeper
	writer    *projection.Writer
	ca        []byte // what ca.crt shows: the cluster's CA bundle, until that is read the caller's own
}

// requestToken asks for a token of the process's service account that is void as soon as the Pod is gone.
func (p *Process) requestToken(ctx context.Context, pod *corev1.Pod) (*authenticationv1.TokenRequest, error) {
	return p.Client.CoreV1().ServiceAccounts(p.Namespace).CreateToken(ctx, p.ServiceAccount, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			Audiences:         p.Audiences,
			ExpirationSeconds: new(int64(tokenSeconds)),
			BoundObjectRef: &authenticationv1.BoundObjectReference{
				APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
			},
		},
	}, metav1.CreateOptions{})
}

// sync brings the volume up to date. A volume that stays as it is, with a token that still holds, is left alone
// even where the renewal failed; the failure is returned all the same.
func (v *volume) sync(ctx context.Context) error {
	token, errToken := v.token.Token(ctx)
	if token.secret == "" {
		return errToken
	}
	errCA := v.readCA(ctx)
	if err := v.writer.Write(v.payload(token)); err != nil {
		return err
	}
	if errToken != nil {
		return errToken
	}
	return errCA
}

func (v *volume) payload(token Token) projection.Payload {
	payload := projection.Payload{
		"token":     {Data: []byte(token.secret), Mode: 0o600},
		"namespace": {Data: []byte(v.namespace), Mode: 0o644},
	}
	if len(v.ca) > 0 {
		payload["ca.crt"] = projection.File{Data: v.ca, Mode: 0o644}
	}
	return payload
}

// readCA takes the bundle that the server publishes in each namespace. A caller who may not read it, or a server
// that has none, leaves the bundle as it is.
func (v *volume) readCA(ctx context.Context) error {
	published, err := v.client.ConfigMaps(v.namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if ca := published.Data["ca.crt"]; ca != "" {
		v.ca = []byte(ca)
	}
	return nil
}

// keep syncs the volume until ctx ends, sooner and then slower again after a failure, and reports each turn for
// the worse.
func (v *volume) keep(ctx context.Context, report func(error)) {
	trouble := streak{report: report}
	fresh := wait.Backoff{Duration: time.Second, Factor: 2, Steps: 7, Cap: volumeResync, Jitter: 0.2}
	retry := fresh
	delay := volumeResync + rand.N(volumeResync/2)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
		err := v.sync(ctx)
		trouble.note(ctx, err)
		if err != nil {
			delay = retry.Step()
			continue
		}
		retry, delay = fresh, volumeResync+rand.N(volumeResync/2)
	}
}
