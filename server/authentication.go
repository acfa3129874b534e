// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/apis/apiserver"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/util/cert"

	"github.com/muster-identity/muster/authn"
)

// AuthenticationOptions are the ways in beside client certificates and service
// account tokens. All are closed unless they are given.
type AuthenticationOptions struct {
	// RequestHeader says whose headers name the user (--requestheader-...).
	RequestHeader genericoptions.RequestHeaderAuthenticationOptions
	// BootstrapTokens lets in who holds a bootstrap token
	// (--enable-bootstrap-token-auth).
	BootstrapTokens bool
	// ConfigFile holds an AuthenticationConfiguration: other issuers of tokens,
	// and who may be anonymous (--authentication-config). It is read again when
	// it changes.
	ConfigFile string
	// Webhook is another service that knows tokens
	// (--authentication-token-webhook-...). Empty ConfigFile means none.
	Webhook authn.Webhook

	// anonymousAuthGiven is set by --anonymous-auth, whatever its value.
	anonymousAuthGiven bool
	// unserved are the flags that were given and mean something else here.
	unserved []string
}

const (
	// defaultWebhookVersion and defaultWebhookCacheTTL are Kubernetes'.
	defaultWebhookVersion  = "v1beta1"
	defaultWebhookCacheTTL = 2 * time.Minute
)

func newAuthenticationOptions() AuthenticationOptions {
	return AuthenticationOptions{Webhook: authn.Webhook{Version: defaultWebhookVersion, CacheTTL: defaultWebhookCacheTTL}}
}

// addUpstreamFlags adds those that k8s.io/apiserver has too.
func (o *AuthenticationOptions) addUpstreamFlags(fs *pflag.FlagSet) {
	o.RequestHeader.AddFlags(fs)
	fs.DurationVar(&o.Webhook.CacheTTL, "authentication-token-webhook-cache-ttl", o.Webhook.CacheTTL, "For how long an answer of the token webhook counts.")
}

// addFlags adds those of kube-apiserver alone.
func (o *AuthenticationOptions) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.BootstrapTokens, "enable-bootstrap-token-auth", o.BootstrapTokens, "Let in who holds the token of a Secret of the type bootstrap.kubernetes.io/token in kube-system.")
	fs.StringVar(&o.ConfigFile, "authentication-config", o.ConfigFile, "File with an AuthenticationConfiguration (apiserver.config.k8s.io/v1): issuers whose JWTs are accepted, and who may be anonymous. It is read again when it changes.")
	fs.StringVar(&o.Webhook.ConfigFile, "authentication-token-webhook-config-file", o.Webhook.ConfigFile, "Kubeconfig of a service that is asked about tokens which nobody here knows.")
	fs.StringVar(&o.Webhook.Version, "authentication-token-webhook-version", o.Webhook.Version, "Version of the TokenReviews that the token webhook gets: v1 or v1beta1.")
	for name := range unservedFlags() {
		fs.Var(unserved{name, &o.unserved}, name, "")
		_ = fs.MarkHidden(name) // fails for a flag that is not there
	}
}

// unservedFlags are ways in of kube-apiserver that Muster does not have, each
// with what does the same.
func unservedFlags() map[string]string {
	const (
		static = "a token in a file ends only with the server; use service account tokens, or client certificates (--client-ca-file)"
		oidc   = "name the issuer in an AuthenticationConfiguration (--authentication-config)"
	)
	return map[string]string{
		"token-auth-file": static,
		"oidc-issuer-url": oidc, "oidc-client-id": oidc, "oidc-ca-file": oidc, "oidc-username-claim": oidc,
		"oidc-username-prefix": oidc, "oidc-groups-claim": oidc, "oidc-groups-prefix": oidc,
		"oidc-signing-algs": oidc, "oidc-required-claim": oidc,
	}
}

// unserved is a flag that only takes note of being given.
type unserved struct {
	name  string
	given *[]string
}

// Set takes note.
func (u unserved) Set(string) error {
	if !slices.Contains(*u.given, u.name) {
		*u.given = append(*u.given, u.name)
	}
	return nil
}

// String is the default: nothing.
func (u unserved) String() string { return "" }

// Type is what the value looks like.
func (u unserved) Type() string { return "string" }

// validate finds what cannot work. It reads the files.
func (o *AuthenticationOptions) validate() []error {
	var errs []error
	for _, name := range o.unserved {
		errs = append(errs, fmt.Errorf("--%s is not served: %s", name, unservedFlags()[name]))
	}
	errs = append(errs, o.validateRequestHeader()...)
	if o.Webhook.ConfigFile != "" {
		errs = append(errs, o.validateWebhook()...)
	}
	return errs
}

func (o *AuthenticationOptions) validateWebhook() []error {
	if o.Webhook.CacheTTL < 0 {
		return []error{fmt.Errorf("--authentication-token-webhook-cache-ttl %s must not be negative", o.Webhook.CacheTTL)}
	}
	if version := o.Webhook.Version; version != "v1" && version != "v1beta1" {
		return []error{fmt.Errorf("--authentication-token-webhook-version %q must be v1 or v1beta1", version)}
	}
	if _, err := authn.NewWebhook(o.Webhook); err != nil {
		return []error{fmt.Errorf("--authentication-token-webhook-config-file: %w", err)}
	}
	return nil
}

func (o *AuthenticationOptions) validateRequestHeader() []error {
	headers := &o.RequestHeader
	errs := headers.Validate()
	if headers.ClientCAFile == "" {
		return errs
	}
	if _, err := cert.CertsFromFile(headers.ClientCAFile); err != nil {
		errs = append(errs, fmt.Errorf("--requestheader-client-ca-file: %w", err))
	}
	if len(headers.UsernameHeaders) == 0 {
		errs = append(errs, fmt.Errorf("--requestheader-client-ca-file wants the header that names the user, as in --requestheader-username-headers X-Remote-User"))
	}
	return errs
}

// configuration reads the AuthenticationConfiguration, and is nil for none.
func (o *Options) configuration() (*apiserver.AuthenticationConfiguration, []byte, error) {
	file := o.Authentication.ConfigFile
	if file == "" {
		return nil, nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("--authentication-config: %w", err)
	}
	config, err := parseConfiguration(data, o.ServiceAccounts.Issuers)
	if err != nil {
		return nil, nil, fmt.Errorf("--authentication-config %q: %w", file, err)
	}
	if given := o.Authentication.anonymousAuthGiven || !o.AnonymousAuth; given && config.Anonymous != nil {
		return nil, nil, fmt.Errorf("--authentication-config %q says who may be anonymous, and so does --anonymous-auth: leave one of them out", file)
	}
	return config, data, nil
}

// openWays puts the ways in into the handler chain. What is not configured is
// not made.
func (h *house) openWays(config *genericapiserver.Config) error {
	options := h.server.Options
	audiences := options.ServiceAccounts.APIAudiences
	ways := authn.Ways{
		ClientCAs: config.SecureServing.ClientCA.VerifyOptions, APIAudiences: audiences,
		// Where all may do everything, at least they say who they are.
		Anonymous: apiserver.AnonymousAuthConfig{Enabled: options.AnonymousAuth && !h.openToAll},
	}
	bearers := authn.Bearers{ServiceAccounts: h.tokens, APIAudiences: audiences}
	if options.Authentication.BootstrapTokens {
		bearers.Bootstrap = &authn.BootstrapTokens{Secrets: h.view, Consistency: h.tokens.Consistency, Now: h.server.Now}
	}
	configuration, data, err := options.configuration()
	if err != nil {
		return err
	}
	if configuration != nil {
		issuers, err := h.followConfiguration(configuration, data, config.APIServerID)
		if err != nil {
			return err
		}
		bearers.JWT = issuers
		if configuration.Anonymous != nil {
			ways.Anonymous = *configuration.Anonymous
		}
	}
	if webhook := options.Authentication.Webhook; webhook.ConfigFile != "" {
		webhook.APIAudiences = audiences
		if bearers.Webhook, err = authn.NewWebhook(webhook); err != nil {
			return err
		}
	}
	if ways.FrontProxy, err = options.Authentication.RequestHeader.ToAuthenticationRequestHeaderConfig(); err != nil {
		return fmt.Errorf("--requestheader-client-ca-file: %w", err)
	}
	h.userCAs = config.SecureServing.ClientCA
	if ways.FrontProxy != nil {
		// The TLS layer asks for the proxy's certificates too; the verifier of
		// users' certificates, taken above, does not know the proxy's authority.
		config.Authentication.RequestHeaderConfig = ways.FrontProxy
		if err := config.Authentication.ApplyClientCert(ways.FrontProxy.CAContentProvider, config.SecureServing); err != nil {
			return fmt.Errorf("--requestheader-client-ca-file: %w", err)
		}
	}
	h.bearers = bearers.Token()
	bearers.ServiceAccounts = h.tokens.ForRequests(auditing(config))
	ways.Tokens = bearers.Token()
	config.Authentication.APIAudiences = audiences
	config.Authentication.Authenticator = authn.Pace(authn.Chain(ways))
	return nil
}

// followConfiguration makes the authenticator of other issuers' tokens, and has
// it kept up to date once the server listens.
func (h *house) followConfiguration(configuration *apiserver.AuthenticationConfiguration, data []byte, id string) (*authn.JWTIssuers, error) {
	ctx, cancel := context.WithCancel(context.Background())
	h.server.onClose(cancel)
	issuers, err := authn.NewJWTIssuers(ctx, configuration, h.server.Options.ServiceAccounts.Issuers, id)
	if err != nil {
		return nil, fmt.Errorf("--authentication-config: %w", err)
	}
	h.configuration = newConfigurationFile(h.server.Options, configuration, data, issuers, id)
	return issuers, nil
}

// parseConfiguration reads a file of --authentication-config.
func parseConfiguration(data []byte, ours []string) (*apiserver.AuthenticationConfiguration, error) {
	if err := authenticationDocument.check(data); err != nil {
		return nil, err
	}
	return authn.ParseConfiguration(data, ours)
}
