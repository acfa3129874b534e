// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/audit/policy"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/util/cert"
	cliflag "k8s.io/component-base/cli/flag"
	basecompatibility "k8s.io/component-base/compatibility"
	netutils "k8s.io/utils/net"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/keyring/rotation"
)

// Options are the settings of a Server that go by Kubernetes' own flags. Each
// field says which; the upstream option sets bring their flags along.
type Options struct {
	Run           *genericoptions.ServerRunOptions
	SecureServing *genericoptions.SecureServingOptions
	Etcd          *genericoptions.EtcdOptions
	Audit         *genericoptions.AuditOptions
	Features      *genericoptions.FeatureOptions

	// Gates are the features that are off by default (--feature-gates).
	Gates FeatureGates

	// TLSSANs are further names and addresses for the serving certificate
	// that the server makes itself (--tls-san).
	TLSSANs []string
	// ClientCAFile holds authorities whose client certificates are accepted
	// beside the server's own (--client-ca-file).
	ClientCAFile string
	// AnonymousAuth lets requests without credentials pass as system:anonymous,
	// who may see health and version (--anonymous-auth).
	AnonymousAuth bool
	// ServiceClusterIPRange is where services get their addresses from
	// (--service-cluster-ip-range).
	ServiceClusterIPRange string
	// EventTTL is how long events are kept (--event-ttl).
	EventTTL time.Duration

	// HotLane gives the most frequent requests a short path (--hot-lane). Their
	// answers are the same without it.
	HotLane bool

	Admission       AdmissionOptions
	Authentication  AuthenticationOptions
	Signing         SigningOptions
	Authorization   AuthorizationOptions
	ServiceAccounts ServiceAccountOptions
	Controllers     ControllerOptions
}

// ServiceAccountOptions are the settings of service account tokens.
type ServiceAccountOptions struct {
	// Issuers are the accepted issuers; the first one signs
	// (--service-account-issuer). Empty means DefaultIssuer.
	Issuers []string
	// SigningKeyFile holds the private key that signs
	// (--service-account-signing-key-file). Empty means keys in the store, made
	// on first start and shared by all replicas.
	SigningKeyFile string
	// SigningEndpoint is the unix socket of a process that signs, a path or
	// @NAME for an abstract one; it excludes the two key files
	// (--service-account-signing-endpoint).
	SigningEndpoint string
	// SigningKeyRotation is for how long a key of the store signs; zero means
	// until somebody begins a rotation (--signing-key-rotation).
	SigningKeyRotation time.Duration
	// SigningKeyAlgorithm is that of new keys in the store: ES256, ES384, ES512
	// or RS256 (--signing-key-algorithm). Empty means ES256.
	SigningKeyAlgorithm string
	// KeyFiles hold further keys whose tokens are accepted
	// (--service-account-key-file).
	KeyFiles []string
	// JWKSURI is the address of the keys in the discovery document
	// (--service-account-jwks-uri). Empty means this server's.
	JWKSURI string
	// DiscoveryAnonymous lets requests without credentials read the two
	// documents of OpenID Connect (--service-account-discovery-anonymous).
	DiscoveryAnonymous bool
	// MaxExpiration caps the life of tokens; zero means no cap
	// (--service-account-max-token-expiration).
	MaxExpiration time.Duration
	// ExtendExpiration gives pods' default tokens a year
	// (--service-account-extend-token-expiration).
	ExtendExpiration bool
	// Lookup accepts tokens of Secrets only as long as their Secrets hold them
	// (--service-account-lookup).
	Lookup bool
	// DeletionGrace is for how long after its deletionTimestamp an object that
	// still exists keeps its tokens alive (--token-deletion-grace).
	DeletionGrace time.Duration
	// APIAudiences are the audiences that this API answers to
	// (--api-audiences). Empty means the issuers.
	APIAudiences []string
	// TokenConsistency is LocalConsistency or StrictConsistency
	// (--token-consistency). Empty means LocalConsistency.
	TokenConsistency string
}

// What a check of a token knows of deletions, by the values of
// --token-consistency.
const (
	// LocalConsistency: all that this server has answered, and what others have
	// as soon as the store has told, which takes milliseconds.
	LocalConsistency = "local"
	// StrictConsistency: all that any server of the store has answered. Each
	// check asks the store, many of them at once, and fails without an answer.
	StrictConsistency = "strict"
)

// DefaultIssuer is the issuer of a server that was not told its own.
const DefaultIssuer = "https://kubernetes.default.svc.cluster.local"

const (
	defaultSecurePort     = 6443
	defaultServiceIPRange = "10.0.0.0/24"
	defaultEventTTL       = time.Hour
	// watchTerminationGrace bounds the end of all watches when a server stops.
	watchTerminationGrace = 10 * time.Second
)

// NewOptions returns the defaults.
func NewOptions() *Options {
	o := &Options{
		Run:                   genericoptions.NewServerRunOptionsForComponent(component, componentRegistry()),
		SecureServing:         genericoptions.NewSecureServingOptions(),
		Etcd:                  genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", nil)),
		Audit:                 genericoptions.NewAuditOptions(),
		Features:              genericoptions.NewFeatureOptions(),
		AnonymousAuth:         true,
		ServiceClusterIPRange: defaultServiceIPRange,
		EventTTL:              defaultEventTTL,
		HotLane:               true,
		Admission:             AdmissionOptions{MountableSecrets: KubernetesMountableSecrets},
		Authentication:        newAuthenticationOptions(),
		Signing:               newSigningOptions(),
		Authorization:         newAuthorizationOptions(),
		Controllers:           newControllerOptions(),
		ServiceAccounts: ServiceAccountOptions{
			Lookup:              true,
			TokenConsistency:    LocalConsistency,
			SigningKeyRotation:  rotation.DefaultPeriod,
			SigningKeyAlgorithm: string(keyring.DefaultAlgorithm),
		},
	}
	o.SecureServing.BindPort = defaultSecurePort
	// Without it a server that is told to stop waits a minute for its watchers to leave.
	o.Run.ShutdownWatchTerminationGracePeriod = watchTerminationGrace
	o.SecureServing.HTTP2MaxStreamsPerConnection = 1000
	o.Etcd.DefaultStorageMediaType = "application/vnd.kubernetes.protobuf"
	o.Features.EnablePriorityAndFairness = false
	return o
}

const component = "muster"

// componentRegistry tells the library which release's behaviour this server has.
// Upstream has one registry for the process; each set of options has its own
// here, so that servers do not share settings.
func componentRegistry() basecompatibility.ComponentGlobalsRegistry {
	registry := basecompatibility.NewComponentGlobalsRegistry()
	version := compatibility.DefaultBuildEffectiveVersion()
	utilruntime.Must(registry.Register(component, version, utilfeature.DefaultMutableFeatureGate.DeepCopy()))
	utilruntime.Must(registry.Set())
	return registry
}

// complete fills in what follows from other settings.
func (o *Options) complete() {
	if len(o.ServiceAccounts.Issuers) == 0 {
		o.ServiceAccounts.Issuers = []string{DefaultIssuer}
	}
	o.Authorization.complete()
	if len(o.ServiceAccounts.APIAudiences) == 0 {
		o.ServiceAccounts.APIAudiences = o.ServiceAccounts.Issuers
	}
	if o.ServiceAccounts.TokenConsistency == "" {
		o.ServiceAccounts.TokenConsistency = LocalConsistency
	}
	if o.ServiceAccounts.SigningKeyAlgorithm == "" {
		o.ServiceAccounts.SigningKeyAlgorithm = string(keyring.DefaultAlgorithm)
	}
}

// validate finds what cannot work, before anything is touched.
func (o *Options) validate() error {
	var errs []error
	errs = append(errs, o.Run.Validate()...)
	errs = append(errs, o.validateServing()...)
	errs = append(errs, o.validateEtcd()...)
	errs = append(errs, o.Audit.Validate()...)
	errs = append(errs, o.Features.Validate()...)
	errs = append(errs, o.Admission.validate()...)
	errs = append(errs, o.Authentication.validate()...)
	errs = append(errs, o.Signing.validate()...)
	errs = append(errs, o.Authorization.validate()...)
	errs = append(errs, o.ServiceAccounts.validate()...)
	errs = append(errs, o.Controllers.validate()...)
	errs = append(errs, o.validateFiles()...)
	if _, err := o.serviceRange(); err != nil {
		errs = append(errs, err)
	}
	if o.EventTTL <= 0 {
		errs = append(errs, fmt.Errorf("--event-ttl %s must be longer than zero", o.EventTTL))
	}
	return utilerrors.NewAggregate(errs)
}

// validateServing checks the port by our own rule, in which 0 is any free port;
// upstream takes that for "do not serve".
func (o *Options) validateServing() []error {
	serving := *o.SecureServing
	var errs []error
	if serving.BindPort < 0 || serving.BindPort > 65535 {
		errs = append(errs, fmt.Errorf("--secure-port %d must be between 0 (any free port) and 65535", serving.BindPort))
	}
	serving.BindPort = defaultSecurePort
	errs = append(errs, serving.Validate()...)
	if _, err := cliflag.TLSVersion(serving.MinTLSVersion); err != nil {
		errs = append(errs, fmt.Errorf("--tls-min-version: %w", err))
	}
	if _, err := cliflag.TLSCipherSuites(serving.CipherSuites); err != nil {
		errs = append(errs, fmt.Errorf("--tls-cipher-suites: %w", err))
	}
	names, _ := splitSANs(o.TLSSANs)
	for _, name := range names {
		if len(validation.IsDNS1123Subdomain(name)) > 0 && len(validation.IsWildcardDNS1123Subdomain(name)) > 0 {
			errs = append(errs, fmt.Errorf("--tls-san %q is neither a DNS name nor an IP address", name))
		}
	}
	return errs
}

func (o *Options) validateEtcd() []error {
	servers := o.Etcd.StorageConfig.Transport.ServerList
	if len(servers) == 0 {
		return nil
	}
	errs := o.Etcd.Validate()
	for _, server := range servers {
		if network, _ := networkOf(server); network == "" {
			errs = append(errs, fmt.Errorf("--etcd-servers %q is not an address like https://10.0.0.1:2379", server))
		}
	}
	return errs
}

// validateFiles reads the files that the operator named.
func (o *Options) validateFiles() []error {
	var errs []error
	serving := pairFiles{cert: o.SecureServing.ServerCert.CertKey.CertFile, key: o.SecureServing.ServerCert.CertKey.KeyFile}
	if (serving.cert == "") != (serving.key == "") {
		errs = append(errs, fmt.Errorf("--tls-cert-file and --tls-private-key-file belong together: give both or neither"))
	} else if serving.cert != "" {
		if _, err := serving.read(); err != nil {
			errs = append(errs, fmt.Errorf("--tls-cert-file, --tls-private-key-file: %w", err))
		}
	}
	if o.ClientCAFile != "" {
		if _, err := cert.CertsFromFile(o.ClientCAFile); err != nil {
			errs = append(errs, fmt.Errorf("--client-ca-file: %w", err))
		}
	}
	if file := o.Audit.PolicyFile; file != "" {
		if err := auditDocument.checkFile("--audit-policy-file", file); err != nil {
			errs = append(errs, err)
		} else if _, err := policy.LoadPolicyFromFile(file); err != nil {
			errs = append(errs, fmt.Errorf("--audit-policy-file: %w", err))
		}
	}
	if file := o.Etcd.EncryptionProviderConfigFilepath; file != "" {
		if err := encryptionDocument.checkFile("--encryption-provider-config", file); err != nil {
			errs = append(errs, err)
		}
	}
	if _, _, err := o.configuration(); err != nil {
		errs = append(errs, err)
	}
	if _, err := o.ServiceAccounts.givenSigner(); err != nil {
		errs = append(errs, err)
	}
	if _, err := o.ServiceAccounts.givenKeys(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// givenSigner reads the signing key that the operator gave; nil for none.
func (o *ServiceAccountOptions) givenSigner() (keyring.Signer, error) {
	if o.SigningKeyFile == "" {
		return nil, nil
	}
	signer, err := keyring.LoadSigner(o.SigningKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--service-account-signing-key-file: %w", err)
	}
	return signer, nil
}

// givenKeys reads the further keys that verify.
func (o *ServiceAccountOptions) givenKeys() ([]keyring.Key, error) {
	var all []keyring.Key
	for _, file := range o.KeyFiles {
		keys, err := keyring.LoadKeys(file)
		if err != nil {
			return nil, fmt.Errorf("--service-account-key-file: %w", err)
		}
		all = append(all, keys...)
	}
	return all, nil
}

const (
	minMaxExpiration = time.Hour
	maxMaxExpiration = (1 << 32) * time.Second
)

func (o *ServiceAccountOptions) validate() []error {
	var errs []error
	seen := map[string]bool{}
	for _, issuer := range o.Issuers {
		if issuer == "" {
			errs = append(errs, fmt.Errorf("--service-account-issuer must not be empty"))
		}
		if seen[issuer] {
			errs = append(errs, fmt.Errorf("--service-account-issuer %q is given twice", issuer))
		}
		seen[issuer] = true
		// An issuer need not be a URL, but one with a colon is meant to be.
		if _, err := url.Parse(issuer); err != nil && strings.Contains(issuer, ":") {
			errs = append(errs, fmt.Errorf("--service-account-issuer %q contains a ':' but is not a valid URL", issuer))
		}
	}
	if max := o.MaxExpiration; max != 0 && (max < minMaxExpiration || max > maxMaxExpiration) {
		errs = append(errs, fmt.Errorf("--service-account-max-token-expiration %s must be between 1 hour and 2^32 seconds", max))
	}
	errs = append(errs, o.validateEndpoint()...)
	if o.DeletionGrace < 0 {
		errs = append(errs, fmt.Errorf("--token-deletion-grace %s must not be negative", o.DeletionGrace))
	}
	if c := o.TokenConsistency; c != LocalConsistency && c != StrictConsistency {
		errs = append(errs, fmt.Errorf("--token-consistency %q is neither %q nor %q", c, LocalConsistency, StrictConsistency))
	}
	if period := o.SigningKeyRotation; period != 0 && period < rotation.MinPeriod {
		errs = append(errs, fmt.Errorf("--signing-key-rotation %s must be 0 (never) or at least %s", (*days)(&period), new(days(rotation.MinPeriod))))
	}
	if algorithm := keyring.Algorithm(o.SigningKeyAlgorithm); !slices.Contains(keyring.Algorithms(), algorithm) {
		errs = append(errs, fmt.Errorf("--signing-key-algorithm %q must be one of %v", algorithm, keyring.Algorithms()))
	}
	if o.JWKSURI != "" && !strings.HasPrefix(o.JWKSURI, "https://") {
		errs = append(errs, fmt.Errorf("--service-account-jwks-uri %q must begin with https://", o.JWKSURI))
	}
	return errs
}

// serviceRange is the parsed ServiceClusterIPRange.
func (o *Options) serviceRange() (*net.IPNet, error) {
	_, parsed, err := netutils.ParseCIDRSloppy(o.ServiceClusterIPRange)
	if err != nil {
		return nil, fmt.Errorf("--service-cluster-ip-range %q is not an address range like %s", o.ServiceClusterIPRange, defaultServiceIPRange)
	}
	const fewest = 8
	if netutils.RangeSize(parsed) < fewest {
		return nil, fmt.Errorf("--service-cluster-ip-range %q has room for fewer than %d addresses", o.ServiceClusterIPRange, fewest)
	}
	return parsed, nil
}

// splitSANs tells the addresses among the names for a certificate.
func splitSANs(sans []string) (names []string, ips []net.IP) {
	for _, san := range sans {
		if ip, err := netip.ParseAddr(san); err == nil {
			ips = append(ips, ip.AsSlice())
			continue
		}
		names = append(names, san)
	}
	return names, ips
}
