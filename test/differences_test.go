// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
)

// The tests in this file show what docs/differences.md says of Muster and what no other test has a reason to show.

// dev starts a server with a namespace dev and a service account reporter in it.
func dev(t *testing.T) kubernetes.Interface {
	t.Helper()
	server := mustertest.Start(t)
	server.Namespace("dev")
	server.ServiceAccount("dev", "reporter")
	return server.Client()
}

func createPod(t *testing.T, client kubernetes.Interface, change func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "worker"},
		Spec: corev1.PodSpec{
			ServiceAccountName: "reporter",
			Containers:         []corev1.Container{{Name: "main", Image: "example.com/worker"}},
		},
	}
	change(pod)
	created, err := client.CoreV1().Pods("dev").Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func requestToken(t *testing.T, client kubernetes.Interface, spec authenticationv1.TokenRequestSpec) string {
	t.Helper()
	answer, err := client.CoreV1().ServiceAccounts("dev").CreateToken(t.Context(), "reporter", &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

func boundTo(pod *corev1.Pod) *authenticationv1.BoundObjectReference {
	return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
}

func statusOf(t *testing.T, client kubernetes.Interface, token string) authenticationv1.TokenReviewStatus {
	t.Helper()
	answer, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status
}

// segment decodes the nth part of a token.
func segment(t *testing.T, token string, n int, into any) {
	t.Helper()
	decoded, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[n])
	if err != nil {
		t.Fatal("the token is not in base64url")
	}
	if err := json.Unmarshal(decoded, into); err != nil {
		t.Fatal("the token is not in JSON")
	}
}

func TestAPodsDefaultTokenLivesAsLongAsItSays(t *testing.T) {
	t.Parallel()
	client := dev(t)
	const seconds = 3607 // what the default token volume of a pod asks for
	pod := createPod(t, client, func(*corev1.Pod) {})
	token := requestToken(t, client, authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo(pod), ExpirationSeconds: new(int64(seconds))})
	var claims struct{ Exp, Iat int64 }
	segment(t, token, 1, &claims)
	if got := claims.Exp - claims.Iat; got != seconds {
		t.Errorf("the token lives for %d seconds, want %d", got, seconds)
	}
}

func TestAServerThatWasToldNothingSignsWithES256ForItsOwnIssuer(t *testing.T) {
	t.Parallel()
	token := requestToken(t, dev(t), authenticationv1.TokenRequestSpec{})
	var header struct{ Alg string }
	segment(t, token, 0, &header)
	var claims struct{ Iss string }
	segment(t, token, 1, &claims)
	if header.Alg != "ES256" || claims.Iss != "https://kubernetes.default.svc.cluster.local" {
		t.Errorf("the token is signed with %s for %s", header.Alg, claims.Iss)
	}
}

func TestOnlyWhatIdentityNeedsIsServed(t *testing.T) {
	t.Parallel()
	_, lists, err := dev(t).Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	var served []string
	for _, list := range lists {
		for _, resource := range list.APIResources {
			served = append(served, list.GroupVersion+" "+resource.Name)
		}
	}
	slices.Sort(served)
	want := []string{
		"admissionregistration.k8s.io/v1 mutatingadmissionpolicies",
		"admissionregistration.k8s.io/v1 mutatingadmissionpolicybindings",
		"admissionregistration.k8s.io/v1 mutatingwebhookconfigurations",
		"admissionregistration.k8s.io/v1 validatingadmissionpolicies",
		"admissionregistration.k8s.io/v1 validatingadmissionpolicies/status",
		"admissionregistration.k8s.io/v1 validatingadmissionpolicybindings",
		"admissionregistration.k8s.io/v1 validatingwebhookconfigurations",
		"authentication.k8s.io/v1 selfsubjectreviews",
		"authentication.k8s.io/v1 tokenreviews",
		"authentication.k8s.io/v1beta1 tokenreviews",
		"authorization.k8s.io/v1 localsubjectaccessreviews",
		"authorization.k8s.io/v1 selfsubjectaccessreviews",
		"authorization.k8s.io/v1 selfsubjectrulesreviews",
		"authorization.k8s.io/v1 subjectaccessreviews",
		"batch/v1 jobs",
		"batch/v1 jobs/status",
		"certificates.k8s.io/v1 certificatesigningrequests",
		"certificates.k8s.io/v1 certificatesigningrequests/approval",
		"certificates.k8s.io/v1 certificatesigningrequests/status",
		"certificates.k8s.io/v1 clustertrustbundles",
		"certificates.k8s.io/v1 podcertificaterequests",
		"certificates.k8s.io/v1 podcertificaterequests/status",
		"coordination.k8s.io/v1 leases",
		"events.k8s.io/v1 events",
		"identity.muster.id/v1 signingkeys",
		"identity.muster.id/v1 tokenrevocations",
		"rbac.authorization.k8s.io/v1 clusterrolebindings",
		"rbac.authorization.k8s.io/v1 clusterroles",
		"rbac.authorization.k8s.io/v1 rolebindings",
		"rbac.authorization.k8s.io/v1 roles",
		"v1 configmaps",
		"v1 events",
		"v1 namespaces",
		"v1 namespaces/finalize",
		"v1 namespaces/status",
		"v1 nodes",
		"v1 nodes/status",
		"v1 pods",
		"v1 pods/binding",
		"v1 pods/ephemeralcontainers",
		"v1 pods/status",
		"v1 podtemplates",
		"v1 secrets",
		"v1 serviceaccounts",
		"v1 serviceaccounts/token",
		"v1 services",
		"v1 services/status",
	}
	if diff := cmp.Diff(want, served); diff != "" {
		t.Errorf("what is served (-want +got):\n%s", diff)
	}
}

func TestNoTrustIsPublishedForServersBehindThisOne(t *testing.T) {
	t.Parallel()
	client := dev(t)
	settle(t, client)
	_, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(t.Context(), "extension-apiserver-authentication", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the ConfigMap: %v, want NotFound", err)
	}
}

func TestTheVersionTellsMusterFromKubernetes(t *testing.T) {
	t.Parallel()
	version, err := dev(t).Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(version.GitVersion, "v1.37.") || !strings.HasSuffix(version.GitVersion, "+muster") {
		t.Errorf("the server says that it is %s", version.GitVersion)
	}
}

// settle returns when the controllers have done what they do for objects that exist now: what they do last for a new
// namespace is done.
func settle(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "later-"}}
	made, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		_, err := client.CoreV1().ConfigMaps(made.Name).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		if err == nil {
			return
		}
		if !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestJobsAreRecordsThatNobodyRuns(t *testing.T) {
	t.Parallel()
	client := dev(t)
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "backup"},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: "example.com/backup"}},
		}}},
	}
	if _, err := client.BatchV1().Jobs("dev").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	settle(t, client)
	pods, err := client.CoreV1().Pods("dev").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 0 {
		t.Errorf("the job has %d pods, want none", len(pods.Items))
	}
}

func TestPodsWaitForWhoeverRunsThem(t *testing.T) {
	t.Parallel()
	client := dev(t)
	createPod(t, client, func(*corev1.Pod) {})
	settle(t, client)
	pod, err := client.CoreV1().Pods("dev").Get(t.Context(), "worker", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Spec.NodeName != "" || pod.Status.Phase != corev1.PodPending {
		t.Errorf("the pod is %s on node %q, want it Pending on none", pod.Status.Phase, pod.Spec.NodeName)
	}
}

func TestNodesAreAuthorizedUnlessSomebodySaysOtherwise(t *testing.T) {
	t.Parallel()
	client := dev(t)
	for name, want := range map[string]bool{"n1": true, "n2": false} {
		answer, err := client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:node:n1", Groups: []string{"system:nodes", "system:authenticated"},
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "nodes", Name: name},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status.Allowed != want {
			t.Errorf("the node n1 may read %s: %v (%s)", name, answer.Status.Allowed, answer.Status.Reason)
		}
	}
}

func TestPodsAreAdmittedByTheirAccountAndNamespaceAlone(t *testing.T) {
	t.Parallel()
	client := dev(t)
	pod := createPod(t, client, func(pod *corev1.Pod) { pod.Spec.PriorityClassName = "no-such-class" })
	if pod.Spec.Priority != nil || len(pod.Spec.Tolerations) != 0 {
		t.Errorf("the pod got priority %v and %d tolerations, want none", pod.Spec.Priority, len(pod.Spec.Tolerations))
	}
}

func TestThereAreNoCustomResources(t *testing.T) {
	t.Parallel()
	client := dev(t)
	raw, err := client.Discovery().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []any }
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	if list.Items == nil || len(list.Items) != 0 {
		t.Errorf("the server answers %s, want an empty list", raw)
	}
}

func TestWhatOnlyANodeUnderstandsIsNotChecked(t *testing.T) {
	t.Parallel()
	pod := createPod(t, dev(t), func(pod *corev1.Pod) {
		pod.Spec.Volumes = []corev1.Volume{{Name: "share", VolumeSource: corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{}}}}
	})
	if pod.Name != "worker" {
		t.Errorf("the pod is %q, want it stored as \"worker\"", pod.Name)
	}
}

func TestTheKeysAreForWhoeverAsks(t *testing.T) {
	t.Parallel()
	client := dev(t).Discovery().RESTClient()
	for _, accepted := range []string{"application/jwk-set+json", "application/json", "*/*"} {
		var mediaType string
		result := client.Get().AbsPath("/openid/v1/jwks").SetHeader("Accept", accepted).Do(t.Context()).ContentType(&mediaType)
		if err := result.Error(); err != nil || mediaType != "application/jwk-set+json" {
			t.Errorf("whoever wants %s is given %q (error %v)", accepted, mediaType, err)
		}
	}
}
