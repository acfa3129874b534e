// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/apis/apiserver"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	apiserverv1alpha1 "k8s.io/apiserver/pkg/apis/apiserver/v1alpha1"
	"sigs.k8s.io/yaml"
)

// AdmissionOptions are the settings of admission.
type AdmissionOptions struct {
	// Enable are plugins to be used beside the ones that are on by themselves
	// (--enable-admission-plugins).
	Enable []string
	// Disable are plugins that are on by themselves and shall not be
	// (--disable-admission-plugins).
	Disable []string
	// ConfigFile holds an AdmissionConfiguration with settings of single plugins
	// (--admission-control-config-file).
	ConfigFile string
	// MountableSecrets is KubernetesMountableSecrets or StrictMountableSecrets
	// (--mountable-secrets). Empty means KubernetesMountableSecrets.
	MountableSecrets string
}

// What the annotation kubernetes.io/enforce-mountable-secrets of an account
// covers, by the values of --mountable-secrets.
const (
	// KubernetesMountableSecrets: what it covers in Kubernetes.
	KubernetesMountableSecrets = "kubernetes"
	// StrictMountableSecrets: every place where a pod can name a Secret, and all
	// of them must be among the account's secrets.
	StrictMountableSecrets = "strict"
)

// addUpstreamFlags adds the flags that Kubernetes has, too.
func (o *AdmissionOptions) addUpstreamFlags(fs *pflag.FlagSet) {
	on := "on by themselves: " + strings.Join((&AdmissionOptions{}).enabled(), ", ")
	fs.StringSliceVar(&o.Enable, "enable-admission-plugins", o.Enable, "Admission plugins to use, as A,B, beside those that are "+on+". Their order does not matter.")
	fs.StringSliceVar(&o.Disable, "disable-admission-plugins", o.Disable, "Admission plugins to do without, as A,B, of those that are "+on+".")
	fs.StringVar(&o.ConfigFile, "admission-control-config-file", o.ConfigFile, "File with settings of single admission plugins (apiserver.config.k8s.io/v1, AdmissionConfiguration).")
}

func (o *AdmissionOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.MountableSecrets, "mountable-secrets", o.MountableSecrets, "What the annotation kubernetes.io/enforce-mountable-secrets of an account covers: kubernetes (what it does there), or strict (every place where a pod can name a Secret).")
}

// had are the plugins that this program has.
func (o *AdmissionOptions) had() []string {
	var names []string
	for _, row := range admissionPlugins() {
		if row.make != nil {
			names = append(names, row.name)
		}
	}
	return names
}

// enabled are the plugins in use, in their order.
func (o *AdmissionOptions) enabled() []string {
	var names []string
	for _, row := range admissionPlugins() {
		if row.make != nil && !slices.Contains(o.Disable, row.name) {
			names = append(names, row.name)
		}
	}
	return names
}

func (o *AdmissionOptions) validate() []error {
	var errs []error
	known := func(name string) bool {
		return slices.ContainsFunc(admissionPlugins(), func(row admissionPlugin) bool { return row.name == name })
	}
	for _, name := range o.Enable {
		switch {
		case !known(name):
			errs = append(errs, fmt.Errorf("enable-admission-plugins plugin %q is unknown", name))
		case !slices.Contains(o.had(), name):
			errs = append(errs, fmt.Errorf("--enable-admission-plugins: Kubernetes has a plugin %q and Muster has not; it has %s", name, strings.Join(o.had(), ", ")))
		case slices.Contains(o.Disable, name):
			errs = append(errs, fmt.Errorf("%v in enable-admission-plugins and disable-admission-plugins overlapped", []string{name}))
		}
	}
	for _, name := range o.Disable {
		if !known(name) {
			errs = append(errs, fmt.Errorf("disable-admission-plugins plugin %q is unknown", name))
		}
	}
	if m := o.MountableSecrets; m != "" && m != KubernetesMountableSecrets && m != StrictMountableSecrets {
		errs = append(errs, fmt.Errorf("--mountable-secrets %q is neither %q nor %q", m, KubernetesMountableSecrets, StrictMountableSecrets))
	}
	if _, _, err := o.settings(o.enabled()); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// settings reads those of single plugins, and tells which of them have policies or
// webhooks in files.
func (o *AdmissionOptions) settings(names []string) (settings admission.ConfigProvider, fromFiles map[string]bool, err error) {
	const flag = "--admission-control-config-file"
	if fromFiles, err = o.fromFiles(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", flag, err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{apiserver.AddToScheme, apiserverv1alpha1.AddToScheme, apiserverv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, nil, err
		}
	}
	if settings, err = admission.ReadAdmissionConfiguration(names, o.ConfigFile, scheme); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", flag, err)
	}
	return settings, fromFiles, nil
}

// fromFiles are the plugins that have policies or webhooks in files. It makes sure
// that the files which the configuration names are there: the library ends the
// process over one that is not.
func (o *AdmissionOptions) fromFiles() (map[string]bool, error) {
	if o.ConfigFile == "" {
		return nil, nil
	}
	data, err := os.ReadFile(o.ConfigFile)
	if err != nil {
		return nil, err
	}
	var configuration apiserverv1.AdmissionConfiguration
	if err := yaml.Unmarshal(data, &configuration); err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.ConfigFile, err)
	}
	plugins := map[string]bool{}
	for _, plugin := range configuration.Plugins {
		settings, err := o.settingsOf(plugin)
		if err != nil {
			return nil, fmt.Errorf("settings of plugin %s: %w", plugin.Name, err)
		}
		var has struct {
			StaticManifestsDir string `json:"staticManifestsDir"`
		}
		// What cannot be read here is refused by the plugin.
		if yaml.Unmarshal(settings, &has) == nil && has.StaticManifestsDir != "" {
			plugins[plugin.Name] = true
		}
	}
	return plugins, nil
}

// settingsOf are those of one plugin, wherever they are; the library prefers those
// in the file itself.
func (o *AdmissionOptions) settingsOf(plugin apiserverv1.AdmissionPluginConfiguration) ([]byte, error) {
	path := plugin.Path
	switch {
	case plugin.Configuration != nil:
		return plugin.Configuration.Raw, nil
	case path == "":
		return nil, nil
	case !filepath.IsAbs(path):
		path = filepath.Join(filepath.Dir(o.ConfigFile), path)
	}
	return os.ReadFile(path)
}
