// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/muster-identity/muster/server/hotlane"
)

// auditPolicy has a rule of each kind.
const auditPolicy = `{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[
  {"level":"None","resources":[{"group":"authentication.k8s.io","resources":["selfsubjectreviews"]}]},
  {"level":"RequestResponse","resources":[{"group":"authorization.k8s.io","resources":["subjectaccessreviews"]}]},
  {"level":"Metadata"}]}`

// audited has a server that writes an audit log.
func audited(t *testing.T) (r *roads, log string) {
	t.Helper()
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.json"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	return openRoads(t, func(o *Options) {
		o.Audit.PolicyFile, o.Audit.LogOptions.Path = policy, log
		o.ServiceAccounts.ExtendExpiration = true
	}), log
}

// eventsOf are the events of the log by audit id, without what differs between
// any two requests.
func eventsOf(t *testing.T, log string) map[string][]auditv1.Event {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	events := map[string][]auditv1.Event{}
	for line := range strings.Lines(string(text)) {
		var e auditv1.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		id := string(e.AuditID)
		if e.RequestReceivedTimestamp.IsZero() || e.StageTimestamp.Before(&e.RequestReceivedTimestamp) {
			t.Errorf("received at %v, %s at %v", e.RequestReceivedTimestamp, e.Stage, e.StageTimestamp)
		}
		e.AuditID, e.RequestReceivedTimestamp, e.StageTimestamp = "", metav1.MicroTime{}, metav1.MicroTime{}
		if _, ok := e.Annotations["authentication.kubernetes.io/issued-credential-id"]; ok {
			e.Annotations["authentication.kubernetes.io/issued-credential-id"] = "JTI"
		}
		events[id] = append(events[id], e)
	}
	return events
}

func TestBothPathsAreAuditedAlike(t *testing.T) {
	t.Parallel()
	r, log := audited(t)
	calls := r.calls(t)
	ids := map[string][2]string{}
	for name, c := range calls {
		var pair [2]string
		for i, h := range []http.Handler{r.Lane, r.General} {
			recorder := httptest.NewRecorder()
			before := r.general.Load()
			h.ServeHTTP(recorder, r.request(c))
			pair[i] = recorder.Header().Get("Audit-Id")
			wantsObjects := c.path == accessReviewPath
			if byLane := r.general.Load() == before; i == 0 && byLane != (c.lane && !wantsObjects) {
				t.Errorf("%s: served by the lane: %v", name, byLane)
			}
		}
		ids[name] = pair
	}
	events := eventsOf(t, log)
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		lane, general := events[ids[name][0]], events[ids[name][1]]
		if diff := cmp.Diff(general, lane); diff != "" {
			t.Errorf("%s: the general path records -, the lane +:\n%s", name, diff)
		}
		none := calls[name].path == selfReviewPath || strings.Contains(name, "with an audit id")
		if len(lane) == 0 && !none {
			t.Errorf("%s: nothing was recorded", name)
		}
	}
}

// A token that lives longer than it should be used is counted at each use.
func TestAUseOfATokenIsCountedOnceOnEitherPath(t *testing.T) {
	t.Parallel()
	r, _ := audited(t)
	long := r.issue(t, "caller", authenticationv1.TokenRequestSpec{
		ExpirationSeconds: new(int64(3607)),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "p"},
	})
	r.fill(long)
	calls := r.calls(t)
	for _, name := range []string{"self review", "review without a token", "access of a resource", "the keys", "an object"} {
		t.Run(name, func(t *testing.T) {
			c := calls[name]
			c.header = maps.Clone(c.header)
			c.header["Authorization"] = "Bearer " + long
			before := r.uses(t)
			r.Lane.ServeHTTP(httptest.NewRecorder(), r.request(c))
			if used := r.uses(t) - before; used != 1 {
				t.Errorf("counted %v times", used)
			}
		})
	}
}

func TestAPanicInTheLaneIsAnAnswerAsOnTheGeneralPath(t *testing.T) {
	t.Parallel()
	r := openRoads(t)
	config := r.Lane.Config
	config.Documents = map[string]hotlane.Document{"/openid/v1/jwks": {
		Body:         func() ([]byte, error) { return nil, nil },
		CacheControl: func() string { panic("on purpose") },
	}}
	recorder, before := httptest.NewRecorder(), r.general.Load()
	hotlane.New(config).ServeHTTP(recorder, r.request(r.calls(t)["the keys"]))
	var status metav1.Status
	if err := json.Unmarshal(recorder.Body.Bytes(), &status); err != nil || recorder.Code != http.StatusInternalServerError ||
		status.Reason != metav1.StatusReasonInternalError || r.general.Load() != before {
		t.Errorf("%d %s (%v), by the general path: %v", recorder.Code, recorder.Body, err, r.general.Load() != before)
	}
}
