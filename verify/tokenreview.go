// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const reviewsPath = "/apis/authentication.k8s.io/v1/tokenreviews"

// TokenReviewOptions are those of [TokenReview]. Both must be set.
type TokenReviewOptions struct {
	// Audiences are those this service goes by. A token must be meant for one of
	// them.
	Audiences []string
	// Server is asked. See [InCluster].
	Server *APIServer
}

// TokenReview makes a verifier that asks the API server about each token. No
// answer is kept: a caller whose pod has been deleted is turned away from then
// on.
//
// A refusal is ErrInvalid whatever the server says of it. Which of the other
// reasons it is, is read from the server's words, which may change; of those that
// are not understood ErrInvalid is all there is. A server that does not check
// audiences is not trusted to accept a token.
//
// TokenReview itself reads nothing from the network. Its error names the option
// that must be mended.
func TokenReview(options TokenReviewOptions) (Verifier, error) {
	v, err := newReviewer(options)
	if err != nil {
		return nil, fmt.Errorf("making a TokenReview verifier: %w", err)
	}
	return v, nil
}

type reviewer struct {
	audiences []string
	server    *session
}

func newReviewer(o TokenReviewOptions) (*reviewer, error) {
	audiences, err := checkAudiences(o.Audiences)
	if err != nil {
		return nil, err
	}
	if o.Server == nil {
		return nil, errors.New("option Server must be set: it is the API server to ask, see InCluster")
	}
	server, err := o.Server.open()
	if err != nil {
		return nil, err
	}
	return &reviewer{audiences, server}, nil
}

// The TokenReview of authentication.k8s.io/v1, as far as it is needed.
type (
	review struct {
		APIVersion string       `json:"apiVersion"`
		Kind       string       `json:"kind"`
		Spec       reviewSpec   `json:"spec"`
		Status     reviewStatus `json:"status"`
	}
	reviewSpec struct {
		Token     string   `json:"token"`
		Audiences []string `json:"audiences"`
	}
	reviewStatus struct {
		Authenticated bool       `json:"authenticated"`
		User          reviewUser `json:"user"`
		Audiences     []string   `json:"audiences"`
		Error         string     `json:"error"`
	}
	reviewUser struct {
		Username string              `json:"username"`
		UID      string              `json:"uid"`
		Groups   []string            `json:"groups"`
		Extra    map[string][]string `json:"extra"`
	}
)

const (
	reviewVersion = "authentication.k8s.io/v1"
	reviewKind    = "TokenReview"
)

// Verify asks. What cannot be a service account's token is refused without.
func (v *reviewer) Verify(ctx context.Context, token string) (*Verdict, error) {
	p, err := parse(token)
	if err != nil {
		return nil, err
	}
	status, err := v.ask(ctx, token)
	if err != nil {
		return nil, unavailable(err)
	}
	if !status.Authenticated || status.Error != "" {
		reason := reasonIn(status.Error)
		if status.Error == "" {
			return nil, refuse(reason, "the API server gives no reason")
		}
		return nil, refuse(reason, "the API server says: %s", foreign(status.Error, token))
	}
	return v.verdict(status, &p.claims)
}

func (v *reviewer) ask(ctx context.Context, token string) (*reviewStatus, error) {
	question, err := json.Marshal(review{
		APIVersion: reviewVersion, Kind: reviewKind, Spec: reviewSpec{Token: token, Audiences: v.audiences},
	})
	if err != nil {
		return nil, errors.New("encoding the TokenReview") // what json says of a value may quote it
	}
	got, err := v.server.do(ctx, http.MethodPost, reviewsPath, question, token)
	if err != nil {
		return nil, fmt.Errorf("asking the API server: %w", err)
	}
	var r review
	if json.Unmarshal(got.body, &r) != nil || r.APIVersion != reviewVersion || r.Kind != reviewKind {
		return nil, errors.New("asking the API server: the answer is no TokenReview")
	}
	return &r.Status, nil
}

// verdict makes one of what the server says. Life and id are read off the token,
// whose signature the server has checked; the server does not tell.
// Kubernetes: k8s.io/apiserver/pkg/authentication/serviceaccount/util.go.
func (v *reviewer) verdict(status *reviewStatus, c *claims) (*Verdict, error) {
	audiences := intersect(v.audiences, status.Audiences)
	if len(audiences) == 0 {
		return nil, refuse(ErrAudience, "the API server answers for none of %q", v.audiences)
	}
	user := status.User
	namespace, name, ok := splitUsername(user.Username)
	if !ok || user.UID == "" {
		return nil, refuse(ErrSubject, "the API server names no account")
	}
	extra := func(key string) string {
		if values := user.Extra["authentication.kubernetes.io/"+key]; len(values) == 1 {
			return values[0]
		}
		return ""
	}
	verdict := &Verdict{
		Username:       user.Username,
		Groups:         user.Groups,
		Namespace:      namespace,
		ServiceAccount: Object{name, user.UID},
		Pod:            Object{extra("pod-name"), extra("pod-uid")},
		Node:           Object{extra("node-name"), extra("node-uid")},
		Audiences:      audiences,
		ID:             strings.TrimPrefix(extra("credential-id"), "JTI="),
	}
	if c.Subject == user.Username && c.Expiry > 0 {
		verdict.Expires = time.Unix(c.Expiry, 0)
	}
	return verdict, nil
}

// words are the texts of Kubernetes for each reason, first come first served:
// pkg/serviceaccount/jwt.go, claims.go and legacy.go.
var words = []struct {
	text   string
	reason Reason
}{
	{"token has expired", ErrExpired},
	{"token is not valid yet", ErrNotValidYet},
	{"token is issued in the future", ErrNotValidYet},
	{"is invalid for the target audiences", ErrAudience},
	{"no keys found", ErrUnknownKey},
	{"error in cryptographic primitive", ErrSignature},
	{"revoked", ErrRevoked},
	{"has been invalidated", ErrRevoked},
	{"has been deleted", ErrRevoked},
	{"does not match", ErrRevoked}, // the UID of an object made anew under the same name
	{`" not found`, ErrRevoked},    // serviceaccounts "reporter" not found
}

func reasonIn(text string) Reason {
	for _, w := range words {
		if strings.Contains(text, w.text) {
			return w.reason
		}
	}
	return ErrInvalid
}
