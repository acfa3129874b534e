// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package issuer owns TokenRequest: what may be asked for, bound to what, for
// how long. The registry calls it for serviceaccounts/token after the caller
// was found to be allowed to; token knows how the claims look that come of it,
// keyring signs them, and live knows which objects exist.
//
// It does not ask whether an object is being deleted. Kubernetes does not
// either: a pod that is shutting down may still need a token, and the token
// dies with it.
package issuer

import (
	"context"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

// DefaultExpirationSeconds is the lifetime of a token when the request names none.
const DefaultExpirationSeconds = 60 * 60

// Objects answers what exists now. A pod that was created, or an account that
// was replaced, before a request came in is seen by that request. Errors are
// apierrors.NotFound of the resource, or those of the store; they end the
// request, except that a pod's node may be missing. Calls may overlap.
type Objects interface {
	ServiceAccount(ctx context.Context, namespace, name string) (live.ServiceAccount, error)
	Pod(ctx context.Context, namespace, name string) (live.Pod, error)
	Secret(ctx context.Context, namespace, name string) (live.Secret, error)
	Node(ctx context.Context, name string) (live.Node, error)
	WebhookConfiguration(ctx context.Context, of live.WebhookKind, name string) (live.WebhookConfiguration, error)
}

// Signer signs the claims of a token that lives for lifetime, so that the key
// is kept for as long. Calls may overlap. After an error there is no token; the
// request fails as an internal error and may be sent again.
type Signer interface {
	Sign(ctx context.Context, payload []byte, lifetime time.Duration) (compact string, err error)
}

// Issuer answers token requests. Its fields are set before the first call and
// not changed afterwards; Issue may be called at the same time.
type Issuer struct {
	// Objects and Signer are needed.
	Objects Objects
	Signer  Signer
	// Issuer is the URL that tokens name as their origin.
	Issuer string
	// APIAudiences are what the API server calls itself: the audiences of a
	// request that names none.
	APIAudiences []string
	// MaxExpiration bounds the lifetime of tokens, in whole seconds; longer
	// requests are shortened, with a warning. Zero: there is no bound.
	MaxExpiration time.Duration
	// ExtendExpiration lets the tokens that pods get by default live for a
	// year, for clients that read theirs once and never again. Kubernetes does
	// so unless told otherwise.
	ExtendExpiration bool
	// MaxExtended bounds the lifetime of such tokens, too: it is what the signer
	// signs at most. Zero: it signs anything.
	MaxExtended time.Duration
	// Attesters are asked for tokens that are to be bound to webhook
	// configurations. nil: no token is bound to one (the feature gate
	// APIServerWebhookAuthenticationToken is off).
	Attesters Attesters
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// NewID makes the id of a token; nil means a random UUID.
	NewID func() string
}

// Request is one call of serviceaccounts/token.
type Request struct {
	// Namespace and Name are those of the path.
	Namespace, Name string
	// TokenRequest is the body, decoded. Issue does not change it.
	TokenRequest *authenticationv1.TokenRequest
	// Admit is validating admission, which sees a copy of the request with all
	// defaults filled in; nil admits all.
	Admit func(ctx context.Context, obj runtime.Object) error
}

// Issue returns the request with its status filled in, or an error that is an
// apierrors.APIStatus. Warnings and the audit annotation that names the new
// token go where the context says.
// Kubernetes: pkg/registry/core/serviceaccount/storage/token.go.
func (i *Issuer) Issue(ctx context.Context, r Request) (*authenticationv1.TokenRequest, error) {
	out, err := i.issue(ctx, r)
	if err != nil {
		return nil, asStatus(err)
	}
	return out, nil
}

// issue takes the steps in the order of Kubernetes, so that of two faults the
// same one is told:
//
//  1. the body agrees with the path;
//  2. the account exists,
//  3. and is the one that is meant;
//  4. what the body leaves open is filled in;
//  5. it is valid in itself,
//  6. and admitted;
//  7. the object to be bound to exists and fits;
//  8. the lifetime is settled;
//  9. the token is signed.
func (i *Issuer) issue(ctx context.Context, r Request) (*authenticationv1.TokenRequest, error) {
	out := r.TokenRequest.DeepCopy()
	if err := checkPath(r, out); err != nil {
		return nil, err
	}
	account, err := i.Objects.ServiceAccount(ctx, r.Namespace, r.Name)
	if err != nil {
		return nil, err
	}
	if out.UID != "" && out.UID != account.UID {
		return nil, apierrors.NewConflict(resource(groupKind), r.Name, fmt.Errorf(
			"the UID in the token request (%s) does not match the UID of the service account (%s)", out.UID, account.UID,
		))
	}
	now := i.now()
	i.complete(out, account, now)
	if errs := validate(&out.Spec); len(errs) > 0 {
		return nil, apierrors.NewInvalid(groupKind, "", errs)
	}
	if r.Admit != nil {
		if err := r.Admit(ctx, out.DeepCopy()); err != nil {
			return nil, err
		}
	}
	bound, err := i.bind(ctx, account, &out.Spec, now)
	if err != nil {
		return nil, err
	}
	if bound.IsWebhook() {
		out.Spec.ExpirationSeconds = new(min(*out.Spec.ExpirationSeconds, webhookSeconds)) // without a warning, as in Kubernetes
	}
	term := i.term(&out.Spec, bound)
	if asked := *out.Spec.ExpirationSeconds; term.seconds < asked {
		warning.AddWarning(ctx, "", fmt.Sprintf(
			"requested expiration of %d seconds shortened to %d seconds", asked, term.seconds,
		))
		out.Spec.ExpirationSeconds = new(term.seconds)
	}
	compact, err := i.sign(ctx, token.Grant{
		Issuer:         i.Issuer,
		ID:             i.newID(),
		Namespace:      account.Namespace,
		ServiceAccount: ref(account.Meta),
		Bound:          bound,
		Audiences:      out.Spec.Audiences,
		IssuedAt:       now,
		Lifetime:       term.lifetime,
		WarnAfter:      term.warnAfter,
	})
	if err != nil {
		klog.ErrorS(err, "signing a token", "serviceAccount", klog.KRef(account.Namespace, account.Name))
		return nil, apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	out.Status = authenticationv1.TokenRequestStatus{
		Token:               compact,
		ExpirationTimestamp: metav1.NewTime(now.Add(time.Duration(term.seconds) * time.Second)),
	}
	return out, nil
}

// checkPath is step 1. Of a namespace that differs, Kubernetes tells before
// the request gets to the resource at all.
func checkPath(r Request, body *authenticationv1.TokenRequest) error {
	if r.Namespace == "" {
		return apierrors.NewBadRequest("namespace is required")
	}
	if body.Namespace != "" && body.Namespace != r.Namespace {
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	if body.Name != "" && body.Name != r.Name {
		return apierrors.NewInvalid(groupKind, r.Name, field.ErrorList{
			field.Invalid(field.NewPath("metadata", "name"), body.Name, "must match the service account name if specified"),
		})
	}
	return checkName(r.Name)
}

// complete is step 4.
func (i *Issuer) complete(body *authenticationv1.TokenRequest, account live.ServiceAccount, now time.Time) {
	if len(body.Spec.Audiences) == 0 {
		body.Spec.Audiences = slices.Clone(i.APIAudiences)
	}
	if body.Spec.ExpirationSeconds == nil {
		body.Spec.ExpirationSeconds = new(int64(DefaultExpirationSeconds))
	}
	body.Namespace, body.Name, body.UID = account.Namespace, account.Name, account.UID
	body.CreationTimestamp = metav1.NewTime(now)
	body.Status = authenticationv1.TokenRequestStatus{}
}

// sign is step 9.
func (i *Issuer) sign(ctx context.Context, grant token.Grant) (string, error) {
	claims := grant.Claims()
	payload, err := claims.Encode()
	if err != nil {
		return "", err
	}
	compact, err := i.Signer.Sign(ctx, payload, grant.Lifetime)
	if err != nil {
		return "", err
	}
	audit.AddAuditAnnotation(ctx, serviceaccount.IssuedCredentialIDAuditAnnotationKey, claims.CredentialID())
	return compact, nil
}

// now drops the parts of a second, which a token cannot tell. So the time of
// expiry in the status is exactly that in the token.
func (i *Issuer) now() time.Time {
	now := time.Now
	if i.Now != nil {
		now = i.Now
	}
	return now().Truncate(time.Second)
}

func (i *Issuer) newID() string {
	if i.NewID != nil {
		return i.NewID()
	}
	return string(uuid.NewUUID())
}

func ref(m live.Meta) token.Ref {
	return token.Ref{Name: m.Name, UID: string(m.UID)}
}
