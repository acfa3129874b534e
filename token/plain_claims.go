// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import "github.com/muster-identity/muster/token/plainjson"

// plainClaims reads the claims of a token that is written as Kubernetes and
// Muster write theirs. It is not ok for any other, which Decode reads with a
// parser: among them those that are refused, so that the reasons are one parser's.
func plainClaims(payload []byte) (*Claims, bool) {
	r := plainjson.NewReader(payload)
	c := &Claims{}
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch string(r.Key()) {
		case "aud":
			r.Once(&seen, 0)
			c.Audience = r.Strings()
		case "exp":
			r.Once(&seen, 1)
			c.Expiry = r.Number()
		case "iat":
			r.Once(&seen, 2)
			c.IssuedAt = r.Number()
		case "iss":
			r.Once(&seen, 3)
			c.Issuer = r.String()
		case "jti":
			r.Once(&seen, 4)
			c.ID = r.String()
		case "kubernetes.io":
			r.Once(&seen, 5)
			readKubernetes(&r, &c.Kubernetes)
		case "nbf":
			r.Once(&seen, 6)
			c.NotBefore = r.Number()
		case "sub":
			r.Once(&seen, 7)
			c.Subject = r.String()
		default:
			return nil, false
		}
	}
	return c, r.End()
}

func readKubernetes(r *plainjson.Reader, k *Kubernetes) {
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch string(r.Key()) {
		case "namespace":
			r.Once(&seen, 0)
			k.Namespace = r.String()
		case "node":
			r.Once(&seen, 1)
			k.Node = new(readRef(r))
		case "pod":
			r.Once(&seen, 2)
			k.Pod = new(readRef(r))
		case "secret":
			r.Once(&seen, 3)
			k.Secret = new(readRef(r))
		case "serviceaccount":
			r.Once(&seen, 4)
			k.ServiceAccount = readRef(r)
		case "warnafter":
			r.Once(&seen, 5)
			k.WarnAfter = r.Number()
		default:
			r.Refuse() // webhook configurations and their attestations among them
		}
	}
}

func readRef(r *plainjson.Reader) (ref Ref) {
	var seen plainjson.Keys
	for r.Open('{'); r.More('}'); {
		switch string(r.Key()) {
		case "name":
			r.Once(&seen, 0)
			ref.Name = r.String()
		case "uid":
			r.Once(&seen, 1)
			ref.UID = r.String()
		default:
			r.Refuse()
		}
	}
	return ref
}
