// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	policyloader "k8s.io/apiserver/pkg/admission/plugin/policy/manifest/loader"
	webhookloader "k8s.io/apiserver/pkg/admission/plugin/webhook/manifest/loader"

	"github.com/muster-identity/muster/registry"
)

// manifests reads the policies and webhooks that are in files (staticManifestsDir of
// the settings of a plugin): they are in force from the first request on, nobody
// changes them through the API, and they hold for the writing of policies, too. The
// library watches the folders; here is what makes objects of the files. Kubernetes:
// pkg/kubeapiserver/admission/initializer.go.
type manifests struct{ decoder runtime.Decoder }

func newManifests() (manifests, error) {
	scheme := runtime.NewScheme()
	if err := admissionregistrationv1.AddToScheme(scheme); err != nil {
		return manifests{}, fmt.Errorf("registering the types of policies: %w", err)
	}
	scheme.AddKnownTypes(schema.GroupVersion{Version: "v1"}, &metav1.List{})
	return manifests{serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()}, nil
}

// Initialize gives a plugin that may have files what reads them.
func (m manifests) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsManifestLoaders); ok {
		wants.SetManifestLoaders(m.loaders())
	}
}

func (m manifests) loaders() *initializer.ManifestLoaders {
	return &initializer.ManifestLoaders{
		LoadValidatingPolicyManifests: func(dir string) ([]*admissionregistrationv1.ValidatingAdmissionPolicy, []*admissionregistrationv1.ValidatingAdmissionPolicyBinding, string, error) {
			return policyloader.LoadPolicyManifests(dir, m.decoder, inFile[*admissionregistrationv1.ValidatingAdmissionPolicy], inFile[*admissionregistrationv1.ValidatingAdmissionPolicyBinding],
				func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) string { return b.Spec.PolicyName })
		},
		LoadMutatingPolicyManifests: func(dir string) ([]*admissionregistrationv1.MutatingAdmissionPolicy, []*admissionregistrationv1.MutatingAdmissionPolicyBinding, string, error) {
			return policyloader.LoadPolicyManifests(dir, m.decoder, inFile[*admissionregistrationv1.MutatingAdmissionPolicy], inFile[*admissionregistrationv1.MutatingAdmissionPolicyBinding],
				func(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) string { return b.Spec.PolicyName })
		},
		LoadValidatingWebhookManifests: func(dir string) ([]*admissionregistrationv1.ValidatingWebhookConfiguration, string, error) {
			return webhookloader.LoadManifests(dir, m.decoder, inFile[*admissionregistrationv1.ValidatingWebhookConfiguration])
		},
		LoadMutatingWebhookManifests: func(dir string) ([]*admissionregistrationv1.MutatingWebhookConfiguration, string, error) {
			return webhookloader.LoadManifests(dir, m.decoder, inFile[*admissionregistrationv1.MutatingWebhookConfiguration])
		},
	}
}

// inFile are the objects of type T in one document of a file: it is one, or a list
// of them. They come back complete and checked.
func inFile[T registry.Object](document runtime.Object) ([]T, error) {
	items := []runtime.Object{document}
	if meta.IsListType(document) {
		var err error
		if items, err = meta.ExtractList(document); err != nil {
			return nil, err
		}
	}
	found := make([]T, len(items))
	for i, item := range items {
		object, ok := item.(T)
		if !ok {
			return nil, fmt.Errorf("%w: %T", policyloader.ErrUnrecognizedType, item)
		}
		if err := registry.CompleteManifest(object); err != nil {
			return nil, fmt.Errorf("%q: %w", object.GetName(), err)
		}
		found[i] = object
	}
	return found, nil
}
