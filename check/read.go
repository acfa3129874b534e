// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"context"
	"fmt"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// State is what checks are made of. Of Secrets it has no contents.
type State struct {
	Server       string
	TokenSecrets []metav1.PartialObjectMetadata
	Accounts     []corev1.ServiceAccount
	Pods         []corev1.Pod
	Namespaces   []corev1.Namespace
	// StaleTokens is how many requests came with tokens that should have been
	// renewed, since the server's start.
	StaleTokens float64
	// Omissions are the checks for which the caller could not read enough.
	Omissions []Omission
}

// pageSize is how many objects are asked for at a time.
const pageSize = 500

// Read gets the state of a server. What the caller may not read is an omission.
func Read(ctx context.Context, config *rest.Config) (*State, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	state, core := &State{Server: config.Host}, client.CoreV1()
	secrets := objects.Resource(corev1.SchemeGroupVersion.WithResource("secrets"))
	for _, part := range []struct {
		check string
		read  func() error
	}{
		{LegacyToken, func() error {
			return pages(fields.OneTermEqualSelector("type", string(corev1.SecretTypeServiceAccountToken)), func(o metav1.ListOptions) (string, error) {
				list, err := secrets.List(ctx, o)
				if err != nil {
					return "", err
				}
				state.TokenSecrets = append(state.TokenSecrets, list.Items...)
				return list.Continue, nil
			})
		}},
		{MountableSecrets, func() error {
			return pages(fields.Everything(), func(o metav1.ListOptions) (string, error) {
				list, err := core.ServiceAccounts("").List(ctx, o)
				if err != nil {
					return "", err
				}
				state.Accounts = append(state.Accounts, list.Items...)
				return list.Continue, nil
			})
		}},
		{UnusedToken, func() error {
			return pages(fields.Everything(), func(o metav1.ListOptions) (string, error) {
				list, err := core.Pods("").List(ctx, o)
				if err != nil {
					return "", err
				}
				state.Pods = append(state.Pods, list.Items...)
				return list.Continue, nil
			})
		}},
		{StaleToken, func() (err error) {
			state.StaleTokens, err = metric(ctx, client.Discovery().RESTClient(), "serviceaccount_stale_tokens_total")
			return err
		}},
		{StuckNamespace, func() error {
			return pages(fields.Everything(), func(o metav1.ListOptions) (string, error) {
				list, err := core.Namespaces().List(ctx, o)
				if err != nil {
					return "", err
				}
				state.Namespaces = append(state.Namespaces, list.Items...)
				return list.Continue, nil
			})
		}},
	} {
		if err := part.read(); apierrors.IsForbidden(err) {
			state.Omissions = append(state.Omissions, Omission{part.check, err.Error()})
		} else if err != nil {
			return nil, err
		}
	}
	return state, nil
}

// pages has a list read to its end. read returns where it goes on.
func pages(selector fields.Selector, read func(metav1.ListOptions) (string, error)) error {
	options := metav1.ListOptions{FieldSelector: selector.String(), Limit: pageSize}
	for {
		next, err := read(options)
		if err != nil || next == "" {
			return err
		}
		options.Continue = next
	}
}

// metric is the sum of a counter of the server; 0 if it has none.
func metric(ctx context.Context, client rest.Interface, name string) (float64, error) {
	text, err := client.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("getting /metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return 0, fmt.Errorf("reading metrics: %w", err)
	}
	sum := 0.0
	for _, metric := range families[name].GetMetric() {
		sum += metric.GetCounter().GetValue()
	}
	return sum, nil
}
