// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
	"github.com/muster-identity/muster/token"
)

// legacyToken is the token of a Secret, signed with the server's key.
func legacyToken(t *testing.T, signer keyring.Signer, account *corev1.ServiceAccount, secret string) string {
	t.Helper()
	payload, err := token.Claims{
		Issuer: token.LegacyIssuer, Subject: "system:serviceaccount:dev:" + account.Name,
		Kubernetes: token.Kubernetes{
			Namespace: "dev", ServiceAccount: token.Ref{Name: account.Name, UID: string(account.UID)}, Secret: &token.Ref{Name: secret},
		},
	}.EncodeLegacy()
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signer.Sign(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// keep puts a token into a Secret of its account.
func keep(t *testing.T, client kubernetes.Interface, account, name, compact string) {
	t.Helper()
	_, err := client.CoreV1().Secrets("dev").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       corev1.SecretTypeServiceAccountToken,
		Data:       map[string][]byte{corev1.ServiceAccountTokenKey: []byte(compact)},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// ask makes a request with a token, and returns the code, the warnings and the body of the answer.
func ask(t *testing.T, server *mustertest.Server, compact string) (code int, warnings []string, body string) {
	t.Helper()
	config := rest.AnonymousClientConfig(server.Admin())
	config.BearerToken = compact
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL()+"/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header["Warning"], string(text)
}

const bareUnauthorized = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}` + "\n"

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// metric is the value of a counter, as the server tells it.
func metric(t *testing.T, client kubernetes.Interface, name string) string {
	t.Helper()
	all, err := client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + `(?:\{[^}]*\})? (\S+)$`).FindSubmatch(all)
	if found == nil {
		return ""
	}
	return string(found[1])
}

// signingKey makes a signing key, in a file.
func signingKey(t *testing.T) (path string, signer *keyring.LocalSigner) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sa.key")
	private, err := keyring.Generate(keyring.DefaultAlgorithm)
	if err != nil {
		t.Fatal(err)
	}
	data, err := keyring.EncodePrivate(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if signer, err = keyring.LoadSigner(path); err != nil {
		t.Fatal(err)
	}
	return path, signer
}

func TestATokenOfASecretLivesAndDiesWithIt(t *testing.T) {
	t.Parallel()
	key, signer := signingKey(t)
	server := mustertest.Start(t, func(o *server.Options) { o.ServiceAccounts.SigningKeyFile = key })
	client := server.Client()
	server.Namespace("dev")
	account, err := client.CoreV1().ServiceAccounts("dev").Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "old"}, Secrets: []corev1.ObjectReference{{Name: "auto"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	manual, auto := legacyToken(t, signer, account, "manual"), legacyToken(t, signer, account, "auto")
	if code, _, _ := ask(t, server, manual); code != http.StatusUnauthorized {
		t.Errorf("a token that no Secret holds: %d", code)
	}
	keep(t, client, "old", "manual", manual)
	keep(t, client, "old", "auto", auto)
	if code, warnings, _ := ask(t, server, manual); code != http.StatusOK || len(warnings) != 0 {
		t.Errorf("a token made by hand: %d, warnings %q", code, warnings)
	}
	if code, warnings, _ := ask(t, server, auto); code != http.StatusOK || len(warnings) != 1 || !strings.Contains(warnings[0], "instead of auto-generated secret-based tokens.") {
		t.Errorf("a token made by a controller: %d, warnings %q", code, warnings)
	}
	status := statusOf(t, client, manual)
	if !status.Authenticated || status.User.Username != "system:serviceaccount:dev:old" || len(status.User.Extra) != 0 {
		t.Errorf("review: %+v", status)
	}

	secrets := client.CoreV1().Secrets("dev")
	eventually(t, "the Secret tells when its token was used", func() bool {
		got, err := secrets.Get(t.Context(), "manual", metav1.GetOptions{})
		return err == nil && got.Labels["kubernetes.io/legacy-token-last-used"] == time.Now().UTC().Format(time.DateOnly)
	})
	eventually(t, "the start of tracking is known", func() bool {
		got, err := client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "kube-apiserver-legacy-service-account-token-tracking", metav1.GetOptions{})
		return err == nil && got.Data["since"] == time.Now().UTC().Format(time.DateOnly)
	})

	mark := []byte(`{"metadata":{"labels":{"kubernetes.io/legacy-token-invalid-since":"2026-01-01"}}}`)
	if _, err := secrets.Patch(t.Context(), "auto", types.MergePatchType, mark, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if code, _, body := ask(t, server, auto); code != http.StatusUnauthorized || body != bareUnauthorized {
		t.Errorf("a token whose Secret is marked: %d %s", code, body)
	}
	for name, want := range map[string]string{
		"serviceaccount_legacy_tokens_total":                  "5",
		"serviceaccount_legacy_manual_token_uses_total":       "2",
		"serviceaccount_legacy_auto_token_uses_total":         "1",
		"serviceaccount_invalid_legacy_auto_token_uses_total": "1",
		"serviceaccount_stale_tokens_total":                   "0",
		"serviceaccount_valid_tokens_total":                   "0",
	} {
		if got := metric(t, client, name); got != want {
			t.Errorf("%s %q, want %s", name, got, want)
		}
	}
	if metric(t, client, "authentication_attempts") == "" || metric(t, client, "apiserver_request_total") == "" {
		t.Error("the metrics of the libraries are not served")
	}

	if err := secrets.Delete(t.Context(), "manual", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := ask(t, server, manual); code != http.StatusUnauthorized {
		t.Errorf("after its Secret's deletion has been answered: %d", code)
	}
	keep(t, client, "old", "manual", manual) // what counts is that a Secret holds it
	if code, _, _ := ask(t, server, manual); code != http.StatusOK {
		t.Errorf("back in a Secret: %d", code)
	}
	if err := client.CoreV1().ServiceAccounts("dev").Delete(t.Context(), "old", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := ask(t, server, manual); code != http.StatusUnauthorized {
		t.Errorf("after its account's deletion has been answered: %d", code)
	}
}

// auditPolicy has every request in the log, with what it said about TokenReviews left out.
const auditPolicy = `{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Metadata"}],"omitStages":["RequestReceived"]}`

func TestTheCauseOfARefusalIsInTheAuditLogAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policy, events := filepath.Join(dir, "policy.json"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	server := mustertest.Start(t, func(o *server.Options) {
		o.Audit.PolicyFile, o.Audit.LogOptions.Path = policy, events
	})
	server.Namespace("dev")
	client := server.Client()
	compact := server.ServiceAccount("dev", "reporter").BearerToken
	var claims struct{ Jti string }
	segment(t, compact, 1, &claims)
	if err := client.CoreV1().ServiceAccounts("dev").Delete(t.Context(), "reporter", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if code, _, body := ask(t, server, compact); code != http.StatusUnauthorized || body != bareUnauthorized {
		t.Errorf("the answer is %d %q", code, body)
	}
	if status := statusOf(t, client, compact); !strings.HasPrefix(status.Error, `[invalid bearer token, serviceaccounts "reporter" not found]; ✓ signature; `) {
		t.Errorf("status.error %q", status.Error)
	}
	var told [2]map[string]string // of the request, of the review
	eventually(t, "both are in the audit log", func() bool {
		log, err := os.ReadFile(events)
		if err != nil {
			return false
		}
		if strings.Contains(string(log), compact) || strings.Contains(string(log), strings.Split(compact, ".")[2]) {
			t.Fatal("the audit log has the token")
		}
		for line := range strings.Lines(string(log)) {
			var event struct {
				RequestURI     string
				ResponseStatus struct{ Code int }
				Annotations    map[string]string
			}
			if json.Unmarshal([]byte(line), &event) != nil {
				continue // is being written
			}
			switch {
			case event.RequestURI == "/api" && event.ResponseStatus.Code == http.StatusUnauthorized:
				told[0] = event.Annotations
			case strings.HasSuffix(event.RequestURI, "/tokenreviews"):
				told[1] = event.Annotations
			}
		}
		return told[0] != nil && told[1] != nil
	})
	for i, what := range []string{"a request", "a review"} {
		steps, id := told[i]["authentication.muster.id/steps"], told[i]["authentication.muster.id/credential-id"]
		if !strings.Contains(steps, `✗ service account: wanted "reporter" in namespace "dev"`) || !strings.Contains(steps, "got no such account") {
			t.Errorf("%s: steps %q", what, steps)
		}
		if want := "JTI=" + claims.Jti; id != want {
			t.Errorf("%s: credential %q, want %q", what, id, want)
		}
	}
}

// mortal is an object that ends a token.
type mortal struct {
	client rest.Interface
	// folder is where the objects of its kind are.
	folder string
	object runtime.Object
}

// mortals are objects that end a token, by kind, each with a finalizer that holds it.
func mortals(client kubernetes.Interface) map[string]mortal {
	meta := metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/hold"}}
	pod := corev1.PodSpec{ServiceAccountName: "reporter", Containers: []corev1.Container{{Name: "main", Image: "example.com/worker"}}}
	core := client.CoreV1().RESTClient()
	return map[string]mortal{
		"ServiceAccount": {core, "/api/v1/namespaces/dev/serviceaccounts", &corev1.ServiceAccount{ObjectMeta: meta}},
		"Pod":            {core, "/api/v1/namespaces/dev/pods", &corev1.Pod{ObjectMeta: meta, Spec: pod}},
		"Secret":         {core, "/api/v1/namespaces/dev/secrets", &corev1.Secret{ObjectMeta: meta}},
		"Node":           {core, "/api/v1/nodes", &corev1.Node{ObjectMeta: meta}},
	}
}

func (m mortal) make(ctx context.Context) (metav1.Object, error) {
	made := m.object.DeepCopyObject()
	err := m.client.Post().AbsPath(m.folder).Body(m.object).Do(ctx).Into(made)
	return made.(metav1.Object), err
}

// remove asks for its deletion, and release takes its finalizer away.
func (m mortal) remove(ctx context.Context) error {
	return m.client.Delete().AbsPath(m.folder, "held").Body(metav1.NewDeleteOptions(0)).Do(ctx).Error()
}

func (m mortal) release(ctx context.Context) error {
	return m.client.Patch(types.MergePatchType).AbsPath(m.folder, "held").Body([]byte(`{"metadata":{"finalizers":null}}`)).Do(ctx).Error()
}

// tokenEndingWith is a token that ends with an object: that of the account, if it is one, or one bound to it.
func tokenEndingWith(t *testing.T, client kubernetes.Interface, kind string, object metav1.Object) string {
	t.Helper()
	account, request := "reporter", &authenticationv1.TokenRequest{}
	if kind == "ServiceAccount" {
		account = object.GetName()
	} else {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: object.GetName(), UID: object.GetUID()}
	}
	answer, err := client.CoreV1().ServiceAccounts("dev").CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

// TestAFinalizerHoldsAnObjectAndNotItsTokens is of objects whose deletion has been asked for, and which are there still
// because a finalizer holds them. The deletionTimestamp says when they should have gone, and that is when their tokens
// end: at once where no grace was asked for. With Kubernetes' leniency they last a minute longer.
func TestAFinalizerHoldsAnObjectAndNotItsTokens(t *testing.T) {
	t.Parallel()
	const invalidated = "service account token has been invalidated"
	causes := map[string]string{
		"ServiceAccount": "service account dev/held has been deleted", "Pod": invalidated, "Secret": invalidated, "Node": invalidated,
	}
	for name, grace := range map[string]time.Duration{"at once": 0, "with leniency": time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mustertest.Start(t, func(o *server.Options) { o.ServiceAccounts.DeletionGrace = grace })
			server.Namespace("dev")
			server.ServiceAccount("dev", "reporter")
			client := server.Client()
			for kind, object := range mortals(client) {
				made, err := object.make(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				compact := tokenEndingWith(t, client, kind, made)
				if status := statusOf(t, client, compact); !status.Authenticated {
					t.Errorf("the token of the %s is not good: %s", kind, status.Error)
				}
				if err := object.remove(t.Context()); err != nil {
					t.Fatal(err)
				}
				status := statusOf(t, client, compact)
				if _, err := object.make(t.Context()); !apierrors.IsAlreadyExists(err) {
					t.Fatalf("the %s should be there still: %v", kind, err)
				}
				if grace > 0 {
					if !status.Authenticated {
						t.Errorf("the token of the %s has no leniency: %s", kind, status.Error)
					}
					continue
				}
				if got := status.Error; !strings.HasPrefix(got, "[invalid bearer token, "+causes[kind]+"]; ") || !strings.Contains(got, "got one deleted at ") {
					t.Errorf("the token of the %s: %q", kind, got)
				}
			}
		})
	}
}

// TestATokenIsNotThatOfAnotherOfTheName is of objects that were made again under their names: they are others, and the
// tokens of those before say which one they meant.
func TestATokenIsNotThatOfAnotherOfTheName(t *testing.T) {
	t.Parallel()
	server := mustertest.Start(t)
	server.Namespace("dev")
	server.ServiceAccount("dev", "reporter")
	client := server.Client()
	for kind, object := range mortals(client) {
		t.Run(kind, func(t *testing.T) {
			made, err := object.make(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			compact := tokenEndingWith(t, client, kind, made)
			if err := object.remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := object.release(t.Context()); err != nil {
				t.Fatal(err)
			}
			again, err := object.make(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("%s UID (%s) does not match service account %[1]s ref claim (%[3]s)", strings.ToLower(kind), again.GetUID(), made.GetUID())
			if kind == "ServiceAccount" {
				want = fmt.Sprintf("service account UID (%s) does not match claim (%s)", again.GetUID(), made.GetUID())
			}
			if got := statusOf(t, client, compact); got.Authenticated || !strings.HasPrefix(got.Error, "[invalid bearer token, "+want+"]; ") {
				t.Errorf("authenticated: %v, %q, want %q", got.Authenticated, got.Error, want)
			}
			if got := statusOf(t, client, tokenEndingWith(t, client, kind, again)); !got.Authenticated {
				t.Errorf("the new token is not good: %s", got.Error)
			}
		})
	}
}

// TestAPodOnANodeKeepsItsTokenForItsGracePeriod is of a pod that is given time to end: its deletionTimestamp is in the
// future, and it works until then.
func TestAPodOnANodeKeepsItsTokenForItsGracePeriod(t *testing.T) {
	t.Parallel()
	client := dev(t)
	pod := createPod(t, client, func(pod *corev1.Pod) { pod.Spec.NodeName = "n1" })
	compact := requestToken(t, client, authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo(pod)})
	if err := client.CoreV1().Pods("dev").Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(600)); err != nil {
		t.Fatal(err)
	}
	if status := statusOf(t, client, compact); !status.Authenticated {
		t.Errorf("a pod that is ending: %s", status.Error)
	}
	if err := client.CoreV1().Pods("dev").Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(0)); err != nil {
		t.Fatal(err)
	}
	if statusOf(t, client, compact).Authenticated {
		t.Error("the token has outlived its pod")
	}
}
