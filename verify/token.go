// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	strictjson "github.com/go-jose/go-jose/v4/json"
)

const (
	// maxToken bounds the work that a stranger can cause, in bytes. A usual token
	// has 1,200.
	maxToken = 32 << 10
	// leeway is how far the clocks of issuer and verifier may be apart: that of
	// the API server, so that both verifiers agree with it.
	leeway = time.Minute
	// maxTime is the last second of the year 9999. What comes later cannot be
	// compared safely.
	maxTime = 253402300799

	usernamePrefix = "system:serviceaccount:"
)

// header is what the first part of a token may say. Whoever names a key of
// their own, or demands an extension, is not an API server.
// RFC 7515, section 4.1.
type header struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Key       json.RawMessage `json:"jwk"`
	KeyURL    json.RawMessage `json:"jku"`
	Chain     json.RawMessage `json:"x5c"`
	ChainURL  json.RawMessage `json:"x5u"`
	Critical  json.RawMessage `json:"crit"`
}

func (h *header) hasKeyOrExtension() bool {
	return h.Key != nil || h.KeyURL != nil || h.Chain != nil || h.ChainURL != nil || h.Critical != nil
}

// claims is what the second part of a token says.
// Kubernetes: pkg/serviceaccount/claims.go.
type claims struct {
	Audience   []string `json:"aud"`
	Expiry     int64    `json:"exp"`
	IssuedAt   int64    `json:"iat"`
	Issuer     string   `json:"iss"`
	ID         string   `json:"jti"`
	NotBefore  int64    `json:"nbf"`
	Subject    string   `json:"sub"`
	Kubernetes struct {
		Namespace      string `json:"namespace"`
		Node           Object `json:"node"`
		Pod            Object `json:"pod"`
		ServiceAccount Object `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

// parsed is a token taken apart. Nothing of it is verified.
type parsed struct {
	header  header
	claims  claims
	payload []byte
}

// parse takes a token apart, more strictly than go-jose does: a token has one
// spelling, and a reader who took the other one of two equal keys would have
// read another token.
func parse(token string) (*parsed, error) {
	if len(token) > maxToken {
		return nil, refuse(ErrMalformed, "it has more than %d bytes", maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || strings.ContainsAny(token, "\r\n") {
		return nil, refuse(ErrMalformed, "it is no signed JWT in compact form")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return nil, refuse(ErrMalformed, "part %d of 3 is not base64url", i+1)
		}
	}
	p := &parsed{payload: decoded[1]}
	if !decodeObject(decoded[0], &p.header) {
		return nil, refuse(ErrMalformed, "its header is no JSON object as wanted")
	}
	if p.header.hasKeyOrExtension() {
		return nil, refuse(ErrMalformed, "its header brings a key along or demands an extension")
	}
	if !decodeObject(decoded[1], &p.claims) {
		return nil, refuse(ErrMalformed, "its claims are no JSON object as wanted")
	}
	for _, t := range []int64{p.claims.Expiry, p.claims.IssuedAt, p.claims.NotBefore} {
		if t < 0 || t > maxTime {
			return nil, refuse(ErrMalformed, "a time in it is out of range")
		}
	}
	return p, nil
}

// decodeObject reads a JSON object, and nothing else, into a struct. Keys match
// by exact case, and none may appear twice.
func decodeObject(data []byte, into any) bool {
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) && strictjson.Unmarshal(data, into) == nil
}

// checkTime tells whether the token is alive, as the API server would.
// Kubernetes: pkg/serviceaccount/claims.go (Validate).
func (c *claims) checkTime(now time.Time) error {
	if end := time.Unix(c.Expiry, 0); now.After(end.Add(leeway)) {
		return refuse(ErrExpired, "at %s, now is %s", stamp(end), stamp(now))
	}
	start := time.Unix(max(c.NotBefore, c.IssuedAt), 0)
	if now.Add(leeway).Before(start) {
		return refuse(ErrNotValidYet, "from %s, now is %s", stamp(start), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// intersect returns those of the wanted audiences that were offered.
func intersect(wanted, offered []string) []string {
	var both []string
	for _, audience := range wanted {
		if slices.Contains(offered, audience) {
			both = append(both, audience)
		}
	}
	return both
}

// verdict makes one of claims that hold. What the claims say twice must agree.
func (c *claims) verdict(wanted []string) (*Verdict, error) {
	audiences := intersect(wanted, c.Audience)
	if len(audiences) == 0 {
		return nil, refuse(ErrAudience, "it is for %s, wanted is %q", foreign(fmt.Sprintf("%q", c.Audience)), wanted)
	}
	namespace, name, ok := splitUsername(c.Subject)
	k := c.Kubernetes
	if !ok || namespace != k.Namespace || name != k.ServiceAccount.Name || k.ServiceAccount.UID == "" {
		return nil, refuse(ErrSubject, "its claims do not name one account")
	}
	return &Verdict{
		Username:       c.Subject,
		Groups:         []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		Namespace:      namespace,
		ServiceAccount: k.ServiceAccount,
		Pod:            k.Pod,
		Node:           k.Node,
		Audiences:      audiences,
		Expires:        time.Unix(c.Expiry, 0),
		ID:             c.ID,
	}, nil
}

// splitUsername takes system:serviceaccount:NAMESPACE:NAME apart.
func splitUsername(username string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(username, usernamePrefix)
	if !ok {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(rest, ":")
	return namespace, name, ok && namespace != "" && name != "" && !strings.Contains(name, ":")
}
