// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

const authorizersHead = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n"

// askingFleet is an authorizer that asks another Muster about the namespace dev.
func askingFleet(t *testing.T, fleet *mustertest.Server) string {
	t.Helper()
	return fmt.Sprintf(`- type: Webhook
  name: fleet
  webhook:
    timeout: 10s
    authorizedTTL: 1s
    cacheAuthorizedRequests: false
    unauthorizedTTL: 1s
    cacheUnauthorizedRequests: false
    failurePolicy: Deny
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    matchConditions:
    - expression: has(request.resourceAttributes) && request.resourceAttributes.namespace == 'dev'
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %s}
`, reviewConfig(t, fleet, "authorization.k8s.io/v1/subjectaccessreviews"))
}

// letRead lets the account dev/bot read configmaps, as far as a server's roles go.
func letRead(t *testing.T, muster *mustertest.Server) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"configmaps"}}}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "dev", Name: "bot"}},
	}
	client := muster.Client().RbacV1()
	if _, err := client.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestOneMusterAsksAnotherWhatSomebodyMayDo(t *testing.T) {
	t.Parallel()
	fleet := mustertest.Start(t)
	letRead(t, fleet)
	file := filepath.Join(t.TempDir(), "authorization.yaml")
	const rbac = "- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n"
	replaceFile(t, file, []byte(authorizersHead+rbac))
	muster := mustertest.Start(t, func(o *server.Options) { o.Authorization.ConfigFile = file })
	muster.Namespace("dev")
	bot, err := kubernetes.NewForConfig(muster.ServiceAccount("dev", "bot"))
	if err != nil {
		t.Fatal(err)
	}
	reads := func(namespace string) error {
		_, err := bot.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
		return err
	}
	soon := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not within 30 seconds: %s", what)
			}
		}
	}
	rules := func() authorizationv1.SubjectRulesReviewStatus {
		review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "dev"}}
		answer, err := bot.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status
	}
	if err := reads("dev"); !apierrors.IsForbidden(err) || rules().Incomplete {
		t.Fatalf("without the fleet: %v, rules incomplete %v", err, rules().Incomplete)
	}

	replaceFile(t, file, []byte(authorizersHead+askingFleet(t, fleet)+rbac))
	soon("the fleet lets the bot read", func() bool { return reads("dev") == nil })
	if err := reads("default"); !apierrors.IsForbidden(err) {
		t.Errorf("what the fleet is not asked about: %v", err)
	}
	if got := rules(); !got.Incomplete || got.EvaluationError != "webhook authorizer does not support user rule resolution" {
		t.Errorf("rules incomplete %v, %q", got.Incomplete, got.EvaluationError)
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "dev", Verb: "list", Resource: "configmaps"},
	}}
	answer, err := bot.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if want := `RBAC: allowed by ClusterRoleBinding "reader" of ClusterRole "reader" to ServiceAccount "bot/dev"`; err != nil || answer.Status.Reason != want {
		t.Errorf("the reason is %q, %v; want that of the fleet", answer.Status.Reason, err)
	}

	// Files that are no good change nothing.
	for _, bad := range []string{"kind: nonsense", authorizersHead + askingFleet(t, fleet), authorizersHead + rbac + "- {type: AlwaysAllow, name: alwaysallow}\n"} {
		before := reloads(t, muster, "failure")
		replaceFile(t, file, []byte(bad))
		soon("the bad file is counted", func() bool { return reloads(t, muster, "failure") != before })
		if err := reads("dev"); err != nil {
			t.Errorf("after a bad file: %v", err)
		}
	}
	replaceFile(t, file, []byte(authorizersHead+rbac))
	soon("the fleet is asked no longer", func() bool { return apierrors.IsForbidden(reads("dev")) })
}

// reloads is the line of the metric, whose value is the count.
func reloads(t *testing.T, muster *mustertest.Server, status string) string {
	t.Helper()
	metrics, err := muster.Client().Discovery().RESTClient().Get().AbsPath("/metrics").Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(metrics)) {
		if strings.HasPrefix(line, "apiserver_authorization_config_controller_automatic_reloads_total{") && strings.Contains(line, `status="`+status+`"`) {
			return line
		}
	}
	return ""
}

func TestWhereAllMayDoEverythingNobodyIsAnonymous(t *testing.T) {
	t.Parallel()
	muster := mustertest.Start(t, func(o *server.Options) { o.Authorization.Modes = []string{"AlwaysAllow"} })
	muster.Namespace("dev")
	bot, err := kubernetes.NewForConfig(muster.ServiceAccount("dev", "bot"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bot.CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("an account: %v", err)
	}
	anonymous, err := kubernetes.NewForConfig(stranger(t, muster))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := anonymous.Discovery().ServerVersion(); !apierrors.IsUnauthorized(err) {
		t.Errorf("a stranger: %v", err)
	}
}
