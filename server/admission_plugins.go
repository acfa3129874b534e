// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"io"

	"k8s.io/apiserver/pkg/admission"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/muster-identity/muster/admission/certificateapproval"
	"github.com/muster-identity/muster/admission/certificatesigning"
	"github.com/muster-identity/muster/admission/certificatesubjectrestriction"
	"github.com/muster-identity/muster/admission/clustertrustbundleattest"
	"github.com/muster-identity/muster/admission/namespacelifecycle"
	"github.com/muster-identity/muster/admission/noderestriction"
	"github.com/muster-identity/muster/admission/podsecurity"
	"github.com/muster-identity/muster/admission/serviceaccount"
)

// admissionPlugin is one row of the table of admission plugins.
type admissionPlugin struct {
	name string
	// make makes the plugin with its part of --admission-control-config-file;
	// nil for one that Kubernetes has and Muster has not.
	make func(h *house, settings io.Reader) (admission.Interface, error)
	// standing is what the plugin decides by, for one that has nothing to do
	// while there is none of it; nil for one that always has.
	standing func(informers.SharedInformerFactory) cache.SharedIndexInformer
}

// admissionPlugins are those of Kubernetes, in its order. Whatever the order,
// all that change an object come before all that judge it.
// Kubernetes: pkg/kubeapiserver/options/plugins.go.
func admissionPlugins() []admissionPlugin {
	return []admissionPlugin{
		{name: "AlwaysAdmit"},
		{name: "NamespaceAutoProvision"},
		{name: namespacelifecycle.Name, make: func(h *house, _ io.Reader) (admission.Interface, error) {
			return namespacelifecycle.New(namespaces{h.view}), nil
		}},
		{name: "NamespaceExists"},
		{name: "LimitPodHardAntiAffinityTopology"},
		{name: "LimitRanger"},
		{name: serviceaccount.Name, make: func(h *house, _ io.Reader) (admission.Interface, error) {
			plugin := serviceaccount.New(accounts{h.stores})
			plugin.Strict = h.server.Options.Admission.MountableSecrets == StrictMountableSecrets
			return plugin, nil
		}},
		{name: noderestriction.Name, make: func(h *house, _ io.Reader) (admission.Interface, error) {
			return noderestriction.New(h.view, h.authorizer), nil
		}},
		{name: "TaintNodesByCondition"},
		{name: "AlwaysPullImages"},
		{name: "ImagePolicyWebhook"},
		{name: podsecurity.Name, make: func(h *house, settings io.Reader) (admission.Interface, error) {
			return podsecurity.New(settings, securedNamespaces{h.stores}, securedNamespaces{h.stores})
		}},
		{name: "PodNodeSelector"},
		{name: "Priority"},
		{name: "DefaultTolerationSeconds"},
		{name: "PodTolerationRestriction"},
		{name: "EventRateLimit"},
		{name: "ExtendedResourceToleration"},
		{name: "DefaultStorageClass"},
		{name: "StorageObjectInUseProtection"},
		{name: "PodGroupProtection"},
		{name: "OwnerReferencesPermissionEnforcement"},
		{name: "PersistentVolumeClaimResize"},
		{name: "RuntimeClass"},
		{name: certificateapproval.Name, make: func(h *house, _ io.Reader) (admission.Interface, error) {
			return certificateapproval.New(h.authorizer), nil
		}},
		{name: certificatesigning.Name, make: func(h *house, _ io.Reader) (admission.Interface, error) {
			return certificatesigning.New(h.authorizer), nil
		}},
		{name: clustertrustbundleattest.Name, make: func(h *house, _ io.Reader) (admission.Interface, error) {
			return clustertrustbundleattest.New(h.authorizer), nil
		}},
		{name: certificatesubjectrestriction.Name, make: func(_ *house, _ io.Reader) (admission.Interface, error) {
			return certificatesubjectrestriction.New(), nil
		}},
		{name: "DefaultIngressClass"},
		{name: "DenyServiceExternalIPs"},
		{name: "PodTopologyLabels"},
		{name: "PodGroupWorkloadExists"},
		{name: "NodeDeclaredFeatureValidator"},
		{name: "JobValidation"},
		{name: "PodResizeValidator"},
		{
			name: mutatingpolicy.PluginName,
			make: func(_ *house, settings io.Reader) (admission.Interface, error) {
				return mutatingpolicy.NewPlugin(settings)
			},
			standing: func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
				return f.Admissionregistration().V1().MutatingAdmissionPolicyBindings().Informer()
			},
		},
		{
			name: mutatingwebhook.PluginName,
			make: func(_ *house, settings io.Reader) (admission.Interface, error) {
				return mutatingwebhook.NewMutatingWebhook(settings)
			},
			standing: func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
				return f.Admissionregistration().V1().MutatingWebhookConfigurations().Informer()
			},
		},
		{
			name: validatingpolicy.PluginName,
			make: func(_ *house, settings io.Reader) (admission.Interface, error) {
				return validatingpolicy.NewPlugin(settings)
			},
			standing: func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
				return f.Admissionregistration().V1().ValidatingAdmissionPolicyBindings().Informer()
			},
		},
		{
			name: validatingwebhook.PluginName,
			make: func(_ *house, settings io.Reader) (admission.Interface, error) {
				return validatingwebhook.NewValidatingAdmissionWebhook(settings)
			},
			standing: func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
				return f.Admissionregistration().V1().ValidatingWebhookConfigurations().Informer()
			},
		},
		{name: "ResourceQuota"},
		{name: "AlwaysDeny"},
	}
}
