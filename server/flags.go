// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
)

// keptFlags are the flags of k8s.io/apiserver's option sets that Muster has.
// Together with refusedFlags this is every flag there is: a test rings when a
// new version of the library brings one that nobody has decided on.
func keptFlags() []string {
	return []string{
		"advertise-address", "cors-allowed-origins", "external-hostname", "goaway-chance", "livez-grace-period",
		"max-mutating-requests-inflight", "max-requests-inflight", "min-request-timeout", "request-timeout",
		"shutdown-delay-duration", "shutdown-send-retry-after", "shutdown-watch-termination-grace-period",
		"storage-initialization-timeout", "strict-transport-security-directives",

		"bind-address", "disable-http2-serving", "http2-max-streams-per-connection", "permit-address-sharing",
		"permit-port-sharing", "secure-port", "tls-cert-file", "tls-cipher-suites", "tls-curve-preferences",
		"tls-min-version", "tls-private-key-file", "tls-sni-cert-key",

		"delete-collection-workers", "encryption-provider-config", "encryption-provider-config-automatic-reload",
		"etcd-cafile", "etcd-certfile", "etcd-compaction-interval", "etcd-count-metric-poll-period",
		"etcd-db-metric-poll-interval", "etcd-healthcheck-timeout", "etcd-keyfile", "etcd-prefix",
		"etcd-readycheck-timeout", "etcd-servers", "lease-reuse-duration-seconds", "storage-media-type",
		"watch-cache", "watch-cache-sizes",

		"audit-log-batch-buffer-size", "audit-log-batch-max-size", "audit-log-batch-max-wait",
		"audit-log-batch-throttle-burst", "audit-log-batch-throttle-enable", "audit-log-batch-throttle-qps",
		"audit-log-compress", "audit-log-format", "audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize",
		"audit-log-mode", "audit-log-path", "audit-log-truncate-enabled", "audit-log-truncate-max-batch-size",
		"audit-log-truncate-max-event-size", "audit-log-version", "audit-policy-file",
		"audit-webhook-batch-buffer-size", "audit-webhook-batch-initial-backoff", "audit-webhook-batch-max-size",
		"audit-webhook-batch-max-wait", "audit-webhook-batch-throttle-burst", "audit-webhook-batch-throttle-enable",
		"audit-webhook-batch-throttle-qps", "audit-webhook-config-file", "audit-webhook-initial-backoff",
		"audit-webhook-mode", "audit-webhook-truncate-enabled", "audit-webhook-truncate-max-batch-size",
		"audit-webhook-truncate-max-event-size", "audit-webhook-version",

		"contention-profiling", "debug-socket-path", "profiling",

		"feature-gates",

		"admission-control-config-file", "disable-admission-plugins", "enable-admission-plugins",

		"client-ca-file",

		"authentication-token-webhook-cache-ttl",
		"authorization-webhook-cache-authorized-ttl", "authorization-webhook-cache-unauthorized-ttl",
		"requestheader-allowed-names", "requestheader-client-ca-file", "requestheader-extra-headers-prefix",
		"requestheader-group-headers", "requestheader-uid-headers", "requestheader-username-headers",
	}
}

// refusedFlags are the flags of k8s.io/apiserver's option sets that Muster does
// not have, each with the reason.
func refusedFlags() map[string]string {
	const (
		delegated = "Muster decides itself who is calling and what they may do; --authentication-token-webhook-config-file asks another service about tokens, and --authorization-mode Webhook about rights"
		versions  = "Muster has the behaviour of one release; --feature-gates has what can be chosen"
	)
	return map[string]string{
		"cert-dir":                     "certificates live in --data-dir",
		"etcd-servers-overrides":       "all resources live in one store: the live view needs one order of revisions",
		"storage-backend":              "there is one: etcd",
		"default-watch-cache-size":     "deprecated upstream and without effect",
		"enable-garbage-collector":     "the garbage collector is part of every server",
		"enable-priority-and-fairness": "its objects (flowcontrol.apiserver.k8s.io) are not served; --max-requests-inflight limits",

		"authentication-kubeconfig": delegated, "authentication-skip-lookup": delegated,
		"authentication-tolerate-lookup-failure": delegated,
		"authorization-kubeconfig":               delegated, "authorization-always-allow-paths": delegated,
		"kubeconfig": delegated,

		"emulated-version": versions, "min-compatibility-version": versions,
		"emulation-forward-compatible": versions, "runtime-config-emulation-forward-compatible": versions,
		"runtime-config": "every served API is always on",

		"egress-selector-config-file": "Muster calls nobody but its store, its webhooks and the issuers of other tokens, each directly",
		"tracing-config-file":         "no traces are recorded",
	}
}

// upstreamFlags are all flags of the option sets of k8s.io/apiserver, bound to
// the given options where Muster has the set.
func upstreamFlags(o *Options) *pflag.FlagSet {
	all := pflag.NewFlagSet("upstream", pflag.ContinueOnError)
	o.Run.AddUniversalFlags(all)
	o.SecureServing.AddFlags(all)
	o.Etcd.AddFlags(all)
	o.Audit.AddFlags(all)
	o.Features.AddFlags(all)
	authentication := pflag.NewFlagSet("authentication", pflag.ContinueOnError)
	authentication.StringVar(&o.ClientCAFile, "client-ca-file", o.ClientCAFile, "Authorities (PEM) whose client certificates are accepted beside the server's own.")
	o.Authentication.addUpstreamFlags(authentication)
	o.Authorization.addUpstreamFlags(authentication)
	all.AddFlagSet(authentication)
	o.Admission.addUpstreamFlags(all)
	return all
}

// AddFlags adds the flags of a server to fs.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	upstream := upstreamFlags(o)
	for _, name := range keptFlags() {
		fs.AddFlag(upstream.Lookup(name))
	}
	fs.Lookup("secure-port").Usage = "The port on which to serve HTTPS. 0 takes any free port."
	fs.Lookup("etcd-servers").Usage = "Addresses of an external etcd cluster. Without them the store is in this process, below --data-dir."
	fs.Lookup("tls-cert-file").Usage = "Serving certificate (PEM), followed by those of its authorities. Without it the server makes its own in --data-dir."
	fs.Lookup("tls-private-key-file").Usage = "Private key (PEM) of --tls-cert-file."
	fs.StringSliceVar(&o.TLSSANs, "tls-san", o.TLSSANs, "Further names or addresses for the serving certificate that the server makes itself. May be given several times.")
	fs.BoolVar(&o.AnonymousAuth, "anonymous-auth", o.AnonymousAuth, "Let requests without credentials pass as system:anonymous, who may see health and version.")
	anonymous := fs.Lookup("anonymous-auth")
	anonymous.Value = cliflag.NewTracker(anonymous.Value, &o.Authentication.anonymousAuthGiven)
	gates := fs.Lookup("feature-gates")
	gates.Value, gates.DefValue = &o.Gates, o.Gates.String()
	gates.Usage = "Features to turn on or off, as NAME=true,NAME=false: APIServerWebhookAuthenticationToken (default false) binds tokens to webhook configurations."
	o.Admission.addFlags(fs)
	o.Authentication.addFlags(fs)
	o.Signing.addFlags(fs)
	o.Authorization.addFlags(fs)
	fs.StringVar(&o.ServiceClusterIPRange, "service-cluster-ip-range", o.ServiceClusterIPRange, "Range of addresses for services.")
	fs.BoolVar(&o.HotLane, "hot-lane", o.HotLane, "Give TokenReviews, TokenRequests, access reviews, reads of one object and the documents of OIDC discovery a short path through the server. The answers are the same without it.")
	fs.DurationVar(&o.EventTTL, "event-ttl", o.EventTTL, "How long events are kept.")
	o.ServiceAccounts.addFlags(fs)
	o.Controllers.addFlags(fs)
}

func (o *ServiceAccountOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&o.Issuers, "service-account-issuer", o.Issuers, "Issuer of service account tokens; may be given several times: the first signs, all are accepted. Default "+DefaultIssuer+".")
	fs.StringVar(&o.SigningEndpoint, "service-account-signing-endpoint", o.SigningEndpoint, "Unix socket (a path, or @NAME for an abstract one) of a process that has the keys and signs, by the protocol k8s.io/externaljwt v1. Excludes --service-account-signing-key-file and --service-account-key-file.")
	fs.StringVar(&o.SigningKeyFile, "service-account-signing-key-file", o.SigningKeyFile, "Private key (PEM) that signs service account tokens. Without it the keys are in the store, which makes and rotates them.")
	fs.Var((*days)(&o.SigningKeyRotation), "signing-key-rotation", "How long a key of the store signs before the next one does, such as 90d. 0: until somebody says muster keys rotate.")
	fs.StringVar(&o.SigningKeyAlgorithm, "signing-key-algorithm", o.SigningKeyAlgorithm, "Algorithm of new keys in the store: ES256, ES384, ES512 or RS256.")
	fs.StringArrayVar(&o.KeyFiles, "service-account-key-file", o.KeyFiles, "Keys (PEM, public or private, any number in a file, or a JWKS document) whose service account tokens are accepted as well. May be given several times.")
	fs.StringVar(&o.JWKSURI, "service-account-jwks-uri", o.JWKSURI, "Address of the public keys in the discovery document. Default: below the issuer, if its host is --external-hostname, --advertise-address or a --tls-san; else at this server's address.")
	fs.BoolVar(&o.DiscoveryAnonymous, "service-account-discovery-anonymous", o.DiscoveryAnonymous, "Let requests without credentials read the two OpenID Connect documents, and nothing else.")
	fs.DurationVar(&o.MaxExpiration, "service-account-max-token-expiration", o.MaxExpiration, "Longest life of a token; longer requests are shortened. 0: no limit.")
	fs.BoolVar(&o.ExtendExpiration, "service-account-extend-token-expiration", o.ExtendExpiration, "Give pods' default tokens one year for clients that do not reload them, and warn of late use.")
	fs.BoolVar(&o.Lookup, "service-account-lookup", o.Lookup, "Accept the token of a Secret only as long as the Secret holds it.")
	fs.DurationVar(&o.DeletionGrace, "token-deletion-grace", o.DeletionGrace, "How long after its deletionTimestamp an account, pod, secret or node that still exists keeps its tokens alive. Kubernetes: 60s.")
	fs.StringSliceVar(&o.APIAudiences, "api-audiences", o.APIAudiences, "Audiences that this API answers to. Default: the issuers.")
	fs.StringVar(&o.TokenConsistency, "token-consistency", o.TokenConsistency, "What a check of a token knows of deletions: local (those that this server has answered, and those of others within milliseconds), or strict (those of all servers of the store, which each check asks: a round trip).")
}
