// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/muster-identity/muster/authz"
)

// AuthorizationOptions say who decides what callers may do: authorizers by
// flags, or those of a file.
type AuthorizationOptions struct {
	// Modes are the authorizers, in the order in which they are asked
	// (--authorization-mode). Empty means Node and RBAC, unless there is a file.
	Modes []string
	// ConfigFile holds an AuthorizationConfiguration (--authorization-config),
	// in place of all others. It is read again when it changes.
	ConfigFile string
	// Webhook is the service that the mode Webhook asks.
	Webhook AuthorizationWebhook

	// flagsGiven is set by --authorization-mode and --authorization-webhook-*,
	// whatever their values.
	flagsGiven bool
	// unserved are the flags that were given and are those of ABAC.
	unserved []string
}

// AuthorizationWebhook is a service that answers SubjectAccessReviews.
type AuthorizationWebhook struct {
	// ConfigFile is its kubeconfig (--authorization-webhook-config-file).
	ConfigFile string
	// Version of the reviews is v1 or v1beta1 (--authorization-webhook-version).
	Version string
	// AuthorizedTTL and UnauthorizedTTL are for how long its answers count
	// (--authorization-webhook-cache-...); zero means that they are not kept.
	AuthorizedTTL, UnauthorizedTTL time.Duration
}

// The defaults of Kubernetes, but for the modes: those are what every installer
// of Kubernetes gives.
const (
	defaultAccessVersion   = "v1beta1"
	defaultAuthorizedTTL   = 5 * time.Minute
	defaultUnauthorizedTTL = 30 * time.Second
	accessTimeout          = 30 * time.Second
)

func defaultModes() []string { return []string{string(authz.TypeNode), string(authz.TypeRBAC)} }

func newAuthorizationOptions() AuthorizationOptions {
	return AuthorizationOptions{Webhook: AuthorizationWebhook{
		Version: defaultAccessVersion, AuthorizedTTL: defaultAuthorizedTTL, UnauthorizedTTL: defaultUnauthorizedTTL,
	}}
}

// addUpstreamFlags adds those that k8s.io/apiserver has too.
func (o *AuthorizationOptions) addUpstreamFlags(fs *pflag.FlagSet) {
	fs.DurationVar(&o.Webhook.AuthorizedTTL, "authorization-webhook-cache-authorized-ttl", o.Webhook.AuthorizedTTL, "For how long a yes of the authorization webhook counts.")
	fs.DurationVar(&o.Webhook.UnauthorizedTTL, "authorization-webhook-cache-unauthorized-ttl", o.Webhook.UnauthorizedTTL, "For how long a no of the authorization webhook counts.")
}

// addFlags adds those of kube-apiserver alone, and notes which of all are given.
func (o *AuthorizationOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.Modes, "authorization-mode", o.Modes, "Authorizers, in the order in which they are asked: "+strings.Join(authz.Types(), ", ")+". Default Node,RBAC, unless --authorization-config is given.")
	fs.StringVar(&o.ConfigFile, "authorization-config", o.ConfigFile, "File with an AuthorizationConfiguration (apiserver.config.k8s.io/v1): the authorizers, in the order in which they are asked. It is read again when it changes. Excludes --authorization-mode and --authorization-webhook-*.")
	fs.StringVar(&o.Webhook.ConfigFile, "authorization-webhook-config-file", o.Webhook.ConfigFile, "Kubeconfig of the service that the mode Webhook asks.")
	fs.StringVar(&o.Webhook.Version, "authorization-webhook-version", o.Webhook.Version, "Version of the SubjectAccessReviews that the authorization webhook gets: v1 or v1beta1.")
	for _, name := range []string{
		"authorization-mode", "authorization-webhook-config-file", "authorization-webhook-version",
		"authorization-webhook-cache-authorized-ttl", "authorization-webhook-cache-unauthorized-ttl",
	} {
		flag := fs.Lookup(name)
		flag.Value = cliflag.NewTracker(flag.Value, &o.flagsGiven)
	}
	fs.Var(unserved{"authorization-policy-file", &o.unserved}, "authorization-policy-file", "")
	_ = fs.MarkHidden("authorization-policy-file") // fails for a flag that is not there
}

const insteadOfABAC = "write its policies as roles and bindings (RBAC), which change without a restart"

// complete fills in the default.
func (o *AuthorizationOptions) complete() {
	if o.ConfigFile == "" && len(o.Modes) == 0 {
		o.Modes = defaultModes()
	}
}

// validate finds what cannot work. It reads the files.
func (o *AuthorizationOptions) validate() []error {
	var errs []error
	for _, name := range o.unserved {
		errs = append(errs, fmt.Errorf("--%s is not served: %s", name, insteadOfABAC))
	}
	if o.ConfigFile == "" {
		errs = append(errs, o.validateModes()...)
	} else if o.flagsGiven || len(o.Modes) > 0 {
		errs = append(errs, errors.New("--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined"))
	}
	if len(errs) > 0 {
		return errs
	}
	config, _, err := o.configuration()
	if err != nil {
		return []error{err}
	}
	for _, entry := range config.Authorizers {
		if entry.Type != authz.TypeWebhook {
			continue
		}
		if _, err := authz.NewWebhook(entry); err != nil {
			errs = append(errs, fmt.Errorf("%s: authorizer %q: %w", o.origin(), entry.Name, err))
		}
	}
	return errs
}

// origin is the flag that webhooks come from.
func (o *AuthorizationOptions) origin() string {
	if o.ConfigFile != "" {
		return "--authorization-config"
	}
	return "--authorization-webhook-config-file"
}

// validateModes has Kubernetes' texts.
func (o *AuthorizationOptions) validateModes() []error {
	var errs []error
	for i, mode := range o.Modes {
		switch {
		case mode == "ABAC":
			errs = append(errs, fmt.Errorf("authorization-mode %q is not served: %s", mode, insteadOfABAC))
		case !slices.Contains(authz.Types(), mode):
			errs = append(errs, fmt.Errorf("authorization-mode %q is not a valid mode", mode))
		case slices.Contains(o.Modes[:i], mode):
			errs = append(errs, fmt.Errorf("authorization-mode %q has mode specified more than once", o.Modes))
		}
	}
	asks := slices.Contains(o.Modes, string(authz.TypeWebhook))
	if asks && o.Webhook.ConfigFile == "" {
		errs = append(errs, errors.New("authorization-mode Webhook's authorization config file not passed"))
	}
	if !asks && o.Webhook.ConfigFile != "" {
		errs = append(errs, errors.New("cannot specify --authorization-webhook-config-file without mode Webhook"))
	}
	for name, ttl := range map[string]time.Duration{"authorized": o.Webhook.AuthorizedTTL, "unauthorized": o.Webhook.UnauthorizedTTL} {
		if ttl < 0 {
			errs = append(errs, fmt.Errorf("--authorization-webhook-cache-%s-ttl %s must not be negative", name, ttl))
		}
	}
	return errs
}

// configuration is that of the file, with its content, or what the flags say.
func (o *AuthorizationOptions) configuration() (*apiserver.AuthorizationConfiguration, []byte, error) {
	if o.ConfigFile == "" {
		return o.configurationOfFlags(), nil, nil
	}
	data, err := os.ReadFile(o.ConfigFile)
	if err != nil {
		return nil, nil, fmt.Errorf("--authorization-config: %w", err)
	}
	if err := authorizationDocument.check(data); err != nil {
		return nil, nil, fmt.Errorf("--authorization-config %q: %w", o.ConfigFile, err)
	}
	config, err := authz.ParseConfiguration(data)
	if err != nil {
		return nil, nil, fmt.Errorf("--authorization-config %q: %w", o.ConfigFile, err)
	}
	return config, data, nil
}

func (o *AuthorizationOptions) configurationOfFlags() *apiserver.AuthorizationConfiguration {
	config := &apiserver.AuthorizationConfiguration{}
	for _, mode := range o.Modes {
		entry := apiserver.AuthorizerConfiguration{Type: apiserver.AuthorizerType(mode), Name: authz.NameOf(apiserver.AuthorizerType(mode))}
		if entry.Type == authz.TypeWebhook {
			entry.Name, entry.Webhook = "default", o.Webhook.configuration()
		}
		config.Authorizers = append(config.Authorizers, entry)
	}
	return config
}

// configuration is what the flags of the webhook come to in a file.
func (w *AuthorizationWebhook) configuration() *apiserver.WebhookConfiguration {
	return &apiserver.WebhookConfiguration{
		AuthorizedTTL:              metav1.Duration{Duration: w.AuthorizedTTL},
		CacheAuthorizedRequests:    w.AuthorizedTTL != 0,
		UnauthorizedTTL:            metav1.Duration{Duration: w.UnauthorizedTTL},
		CacheUnauthorizedRequests:  w.UnauthorizedTTL != 0,
		Timeout:                    metav1.Duration{Duration: accessTimeout},
		FailurePolicy:              apiserver.FailurePolicyNoOpinion,
		SubjectAccessReviewVersion: w.Version,
		ConnectionInfo: apiserver.WebhookConnectionInfo{
			Type: apiserver.AuthorizationWebhookConnectionInfoTypeKubeConfigFile, KubeConfigFile: &w.ConfigFile,
		},
	}
}
