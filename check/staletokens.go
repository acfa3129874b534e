// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"
	"time"
)

const (
	// renewal is after how long a pod's token should have been renewed whose life
	// was extended, to extended (Kubernetes: pkg/serviceaccount, WarnOnlyBoundTokenExpirationPeriod
	// and ExpirationExtensionSeconds).
	renewal  = 3607 * time.Second
	extended = 365 * 24 * time.Hour
)

// staleTokens are the accounts that use tokens after these should have been
// renewed. They go on for as long as the life of a token is extended.
func staleTokens(state *State, uses *Uses, now time.Time) []Finding {
	if uses == nil {
		return staleInMetrics(state)
	}
	var all []Finding
	for _, use := range uses.stale() {
		object := Object{"serviceaccount", use.namespace, use.account}
		mend := "have what runs as this account read its token anew (a newer client library does), at the latest when it is restarted"
		if use.pod != "" {
			object = Object{"pod", use.namespace, use.pod}
			mend = "use a client library that reads the token file anew, and until then kubectl delete pod " + use.pod + " -n " + use.namespace + " before that day"
		}
		ends := use.issued.Add(extended)
		says := fmt.Sprintf("uses a token of account %s that should have been renewed on %s and is refused from %s on", use.account, day(use.issued.Add(renewal)), day(ends))
		if left := ends.Sub(now); left > 0 {
			says += fmt.Sprintf(", in %d days", int(left.Hours()/24))
		}
		all = append(all, Finding{Check: StaleToken, Object: object, Since: since(use.issued.Add(renewal)), Says: says, Mend: mend})
	}
	return all
}

func staleInMetrics(state *State) []Finding {
	if state.StaleTokens == 0 {
		return nil
	}
	return []Finding{{
		Check: StaleToken, Object: Object{Kind: "server", Name: strings.TrimPrefix(state.Server, "https://")},
		Says: fmt.Sprintf("%.0f requests since its start came with tokens that should have been renewed, and will be refused when these are a year old", state.StaleTokens),
		Mend: "find out whose they are: --audit-log FILE",
	}}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
