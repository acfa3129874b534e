// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

const (
	// maxReason and maxClaim are numbers of bytes. A claim is an issuer, an id or
	// a UID; the ones that are issued here are much shorter.
	maxReason = 1024
	maxClaim  = 1024

	waysToRevoke = "token, serviceAccount, key and node"
)

// validateTokenRevocation checks that a revocation says in exactly one way which
// tokens it covers, and that it can cover any.
func validateTokenRevocation(revocation *identityv1.TokenRevocation) field.ErrorList {
	spec, path := &revocation.Spec, field.NewPath("spec")
	var errs field.ErrorList
	var ways []string
	if token := spec.Token; token != nil {
		ways = append(ways, "token")
		errs = append(errs, validateRevokedToken(token, path.Child("token"))...)
	}
	if account := spec.ServiceAccount; account != nil {
		ways = append(ways, "serviceAccount")
		errs = append(errs, validateRevokedAccount(account, path.Child("serviceAccount"))...)
	}
	if key := spec.Key; key != nil {
		ways = append(ways, "key")
		errs = append(errs, requireClaim(key.ID, path.Child("key", "id"))...)
	}
	if node := spec.Node; node != nil {
		ways = append(ways, "node")
		errs = append(errs, requireSubdomain(node.Name, path.Child("node", "name"))...)
		errs = append(errs, validateClaim(string(node.UID), path.Child("node", "uid"))...)
	}
	switch len(ways) {
	case 0:
		errs = append(errs, field.Required(path, "one of "+waysToRevoke+" must say which tokens are void"))
	case 1:
	default:
		errs = append(errs, field.Invalid(path, strings.Join(ways, ", "), "only one of "+waysToRevoke+" may be set: make a revocation for each"))
	}
	errs = append(errs, validateLine(spec.Reason, maxReason, path.Child("reason"))...)
	return append(errs, validateMoment(spec.ExpirationTimestamp, path.Child("expirationTimestamp"))...)
}

// validateRevokedToken refuses what people have at hand instead of the claims:
// the token itself, which must not be kept, and the id as audit logs write it.
func validateRevokedToken(token *identityv1.RevokedToken, path *field.Path) field.ErrorList {
	errs := requireClaim(token.Issuer, path.Child("issuer"))
	at := path.Child("jti")
	switch {
	case strings.HasPrefix(token.JTI, "eyJ") && strings.Count(token.JTI, ".") == 2:
		return append(errs, field.Invalid(at, "<a token>", "must be the claim jti of the token, not the token"))
	case strings.HasPrefix(token.JTI, "JTI="):
		return append(errs, field.Invalid(at, token.JTI, `must be the claim jti alone, without "JTI="`))
	}
	return append(errs, requireClaim(token.JTI, at)...)
}

func validateRevokedAccount(account *identityv1.RevokedServiceAccount, path *field.Path) field.ErrorList {
	errs := requireLabel(account.Namespace, path.Child("namespace"))
	errs = append(errs, requireSubdomain(account.Name, path.Child("name"))...)
	errs = append(errs, validateClaim(string(account.UID), path.Child("uid"))...)
	return append(errs, validateMoment(account.IssuedBefore, path.Child("issuedBefore"))...)
}

// requireSubdomain asks for a DNS subdomain (RFC 1123).
func requireSubdomain(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return invalid(at, name, utilvalidation.IsDNS1123Subdomain(name))
}

func requireClaim(value string, at *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return validateClaim(value, at)
}

func validateClaim(value string, at *field.Path) field.ErrorList {
	return validateLine(value, maxClaim, at)
}

// validateLine checks a text that is shown to people: it has an end, and nothing
// in it that a terminal would obey.
func validateLine(text string, longest int, at *field.Path) field.ErrorList {
	if len(text) > longest {
		return field.ErrorList{field.TooLong(at, "", longest)}
	}
	if !utf8.ValidString(text) || slices.ContainsFunc([]rune(text), func(r rune) bool { return !unicode.IsPrint(r) }) {
		return field.ErrorList{field.Invalid(at, text, "must be one line of printable characters")}
	}
	return nil
}

// validateMoment checks a time that a token can tell.
func validateMoment(at *metav1.Time, path *field.Path) field.ErrorList {
	if at == nil || at.Unix() > 0 && !at.After(lastTime) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, at.UTC().Format(time.RFC3339), "must be later than 1970 and no later than the year 9999")}
}
