// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// checkAudiences wants at least one audience, and each to say something.
func checkAudiences(audiences []string) ([]string, error) {
	if len(audiences) == 0 {
		return nil, errors.New("option Audiences must name at least one audience: that by which callers know this service")
	}
	if slices.Contains(audiences, "") {
		return nil, errors.New("option Audiences must not hold an empty audience")
	}
	return slices.Clone(audiences), nil
}

// checkHTTPS wants the URL of a server, or of something on it, that cannot be
// impersonated. What it is for goes into the error, as "option Issuer".
func checkHTTPS(what, address string) (*url.URL, error) {
	if address == "" {
		return nil, fmt.Errorf("%s must be set to an https URL", what)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%s is no URL", what) // the error of Parse would quote what may be a password
	}
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("%s must not hold a user or password", what)
	case u.Scheme != "https" || u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf("%s %q must be an https URL", what, address)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%s %q must have no query and no fragment", what, address)
	}
	return u, nil
}
