// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/check"
	"github.com/muster-identity/muster/server"
)

// What the page of Kubernetes wants an administrator to find, in a log that a server has written: tokens without an end that
// are in use, and tokens that live on although they should have been renewed, whose they are, by whom and since when.
func TestWhoUsesTokensThatLastTooLongIsFoundInALogOfTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policy, events := filepath.Join(dir, "policy.json"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	s, client, offset := robots(t, func(options *server.Options) {
		options.Audit.PolicyFile, options.Audit.LogOptions.Path = policy, events
		options.ServiceAccounts.ExtendExpiration = true
	})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "worker"}, Spec: corev1.PodSpec{ServiceAccountName: "robot", Containers: []corev1.Container{{Name: "main", Image: "x"}}}}
	if _, err := client.CoreV1().Pods("dev").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	use := func(token, agent string, want func(error) bool) {
		t.Helper()
		config := rest.AnonymousClientConfig(s.AdminConfig())
		config.BearerToken, config.UserAgent = token, agent
		holder, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holder.CoreV1().Pods("dev").List(t.Context(), metav1.ListOptions{}); !want(err) {
			t.Errorf("%s gets %v", agent, err)
		}
	}

	tokenSecret(t, client, "manual", "robot")
	tokenSecret(t, client, "auto", "robot")
	tokenSecret(t, client, "idle", "robot")
	for _, name := range []string{"manual", "auto"} {
		use(string(filled(t, client, name).Data["token"]), name+"-reader/1.0 (linux)", apierrors.IsForbidden)
		eventually(t, "the use of "+name+" is written down", func() bool {
			return filled(t, client, name).Labels["kubernetes.io/legacy-token-last-used"] != ""
		})
	}
	retired := filled(t, client, "auto")
	retired.Labels["kubernetes.io/legacy-token-invalid-since"] = "2026-01-02"
	if _, err := client.CoreV1().Secrets("dev").Update(t.Context(), retired, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	use(string(retired.Data["token"]), "late-reader/0.1", apierrors.IsUnauthorized)

	seconds := int64(3607)
	asked, err := client.CoreV1().ServiceAccounts("dev").CreateToken(t.Context(), "robot", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds, BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "worker"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	use(asked.Status.Token, "worker/2.0", apierrors.IsForbidden) // in time
	if found := auditChecked(t, s, events)[check.StaleToken]; len(found) > 0 {
		t.Errorf("a token in its time is stale: %v", found)
	}
	const late = 90 * time.Minute
	offset.Store(int64(time.Duration(seconds)*time.Second + late))
	use(asked.Status.Token, "worker/2.0", apierrors.IsForbidden)

	found := auditChecked(t, s, events)
	const stamp = `20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`
	wantFindings(t, found[check.LegacyToken], map[string]string{
		"secret/manual -n dev": `^a token without an end of account robot, last used on 20\d\d-\d\d-\d\d; in the log since ` + stamp + `, by manual-reader/1\.0 at 127\.0\.0\.1$`,
		"secret/auto -n dev":   `^a token without an end of account robot, last used on 20\d\d-\d\d-\d\d, refused since 2026-01-02; in the log since ` + stamp + `, by auto-reader/1\.0 at 127\.0\.0\.1, late-reader/0\.1 at 127\.0\.0\.1$`,
	})
	wantFindings(t, found[check.StaleToken], map[string]string{
		"pod/worker -n dev": `^uses a token of account robot that should have been renewed on 20\d\d-\d\d-\d\d and is refused from 20\d\d-\d\d-\d\d on, in 364 days$`,
	})
	// The log has the time of the process, by which the token is late since so long.
	if since := found[check.StaleToken][0].Since; since == nil || since.Time.Sub(begun.Add(-late)).Abs() > 30*time.Second {
		t.Errorf("stale since %s, want %s", since, begun.Add(-late))
	}
}

func wantFindings(t *testing.T, found []check.Finding, want map[string]string) {
	t.Helper()
	if len(found) != len(want) {
		t.Fatalf("found %v, want %v", found, want)
	}
	for _, f := range found {
		if says, ok := want[f.Object.String()]; !ok || !regexp.MustCompile(says).MatchString(f.Says) {
			t.Errorf("%s: %s; want %s", f.Object, f.Says, says)
		}
	}
}

// auditChecked is what muster check finds, by check.
func auditChecked(t *testing.T, s *server.Server, events string) map[string][]check.Finding {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "../bin/muster", "check", "--kubeconfig", s.Kubeconfig(), "--audit-log", events, "-o", "json").Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 2) {
		t.Fatalf("muster check: %v", err)
	}
	var report check.Report
	if err := json.Unmarshal(out, &report); err != nil || len(report.Omissions) > 0 {
		t.Fatalf("%v; not checked: %v", err, report.Omissions)
	}
	found := map[string][]check.Finding{}
	for _, f := range report.Findings {
		found[f.Check] = append(found[f.Check], f)
	}
	return found
}
