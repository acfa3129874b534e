// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verify tells a service who calls it. It checks the service account
// tokens of Muster or of any Kubernetes cluster, and says which account, in
// which pod, on which node, holds them.
//
// # Two ways to check
//
// [TokenReview] asks the API server about each token. The answer is the state
// of now: when the account, the pod or the node of a token has been deleted,
// the next check says no (on Muster at once; kube-apiserver may keep a yes for
// ten seconds). It costs a request for each check, the server must be within
// reach, and the service needs an account that may create tokenreviews; the
// cluster role system:auth-delegator lets it.
//
// [OIDC] checks the signature with the server's public keys, which it fetches
// once in a while. It costs a fraction of a millisecond, and goes on while the
// server is away. It proves what was true when the token was made: the token
// of a deleted pod is good until it expires. Tokens of pods live for an hour
// unless their volume says otherwise, never for less than ten minutes.
//
// Take TokenReview where a caller can do harm, or where you would want to
// throw one out; take OIDC for many calls of little weight, or for callers from
// elsewhere, and keep the tokens short. Both are a [Verifier]: a service can
// change its mind in one line.
//
// # Use
//
// A verifier is made once and kept; it is safe for concurrent use, and starts
// no goroutines. The packages verifyhttp and verifygrpc put it before the
// handlers of a server.
//
// # Advice
//
//   - Give each service an audience of its own, such as https://vault.example,
//     and let its callers ask for tokens with that audience. A token that is
//     meant for several services can be passed on by each of them to the
//     others. There is no way here to accept any audience, on purpose.
//   - Authorize by namespace and name of the account, or by UID where an
//     account that is made anew under an old name must not inherit. A good
//     token says who calls, not that they may.
//   - One verifier trusts one issuer. The same names in two clusters are two
//     different accounts: do not mix their verdicts.
//   - Never log a token. The errors of this package never hold one, nor does a
//     [Verdict]; the ID of a verdict is what the API server's audit log has.
//   - Refuse on every error, whichever it is. [ErrUnavailable] tells when it is
//     worth asking again.
//
// # Compatibility
//
// The packages below verify follow semantic versioning together with the
// module: what is exported stays, and keeps its meaning, for all of a major
// version. Structs may gain fields, so use their names in literals; [Reason]
// may gain values, so treat those you do not know as a refusal. The texts of
// errors are for people and may change. Package verify depends on the standard
// library and go-jose alone, verifygrpc on grpc besides.
package verify

import (
	"context"
	"time"
)

// Verifier checks tokens.
type Verifier interface {
	// Verify tells whose token it is, as it was sent, without "Bearer". It
	// returns a verdict or an error, never both: an error that is [ErrInvalid] if
	// the token was refused, and one that is [ErrUnavailable] if nobody could be
	// asked, the end of the context included. It may be called concurrently.
	Verify(ctx context.Context, token string) (*Verdict, error)
}

// Verdict is who holds a token that was found good. It is nobody else's: its
// receiver may change it.
type Verdict struct {
	// Username is system:serviceaccount:NAMESPACE:NAME.
	Username string
	// Groups are system:serviceaccounts, the one of the namespace, and
	// system:authenticated; TokenReview tells what else the server adds.
	Groups []string
	// Namespace is that of the account, and of the pod.
	Namespace string
	// ServiceAccount is the account. Its UID tells it from an earlier one of the
	// same name.
	ServiceAccount Object
	// Pod is what the token is bound to, or zero if it is bound to no pod.
	Pod Object
	// Node is where the pod runs, or what the token is bound to. It is zero if
	// the token does not say; clusters before Kubernetes 1.32 may not.
	Node Object
	// Audiences are those of the verifier that the token is meant for, at least
	// one.
	Audiences []string
	// Expires is when the token ends, in whole seconds. A server and a verifier
	// accept it for up to a minute longer, since clocks differ.
	Expires time.Time
	// ID is the token's own (the claim jti), by which it goes in audit logs. It
	// is empty in clusters before Kubernetes 1.32.
	ID string
}

// Object names something in the API server as it was when the token was made.
type Object struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

type verdictKey struct{}

// NewContext returns a context that carries a verdict. What guards a handler
// uses it; the tests of a handler may.
func NewContext(ctx context.Context, v *Verdict) context.Context {
	return context.WithValue(ctx, verdictKey{}, v)
}

// FromContext returns the verdict on whoever made the request that a context
// belongs to. It is not ok where nobody has checked.
func FromContext(ctx context.Context) (v *Verdict, ok bool) {
	v, _ = ctx.Value(verdictKey{}).(*Verdict)
	return v, v != nil
}
