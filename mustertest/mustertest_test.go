// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package mustertest_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

func TestTheExampleHolds(t *testing.T) {
	t.Parallel()
	testCounter(t)
}

func TestServersOfOneProcessKnowNothingOfEachOther(t *testing.T) {
	t.Parallel()
	servers := []*mustertest.Server{mustertest.Start(t), mustertest.Start(t), mustertest.Start(t)}
	for i, s := range servers {
		s.Namespace(fmt.Sprintf("of-%d", i))
	}
	foreign := servers[0].ServiceAccount("default", "default").BearerToken
	for i, s := range servers {
		var found []string
		namespaces, err := s.Client().CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, namespace := range namespaces.Items {
			if strings.HasPrefix(namespace.Name, "of-") {
				found = append(found, namespace.Name)
			}
		}
		if diff := cmp.Diff([]string{fmt.Sprintf("of-%d", i)}, found); diff != "" {
			t.Errorf("namespaces of server %d (-want +got):\n%s", i, diff)
		}
		if got, want := review(t, s, foreign).Authenticated, i == 0; got != want {
			t.Errorf("server %d finds a token of server 0 authentic: %v, want %v", i, got, want)
		}
	}
}

func TestANamespaceHasItsDefaultAccountWhenItsCreationReturns(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	client := s.Client().CoreV1()
	for i := range 20 {
		name := fmt.Sprintf("n%d", i)
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := client.Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.ServiceAccounts(name).CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{}); err != nil {
			t.Errorf("requesting a token of the default account of a new namespace: %v", err)
		}
	}
}

func TestAFreshServiceAccountMayDiscoverAndAskAboutItselfAndNothingElse(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	s.Namespace("dev")
	config := s.ServiceAccount("dev", "fresh")
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}

	self, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := self.Status.UserInfo.Username, "system:serviceaccount:dev:fresh"; got != want {
		t.Errorf("the account takes itself for %q, want %q", got, want)
	}
	want := []string{
		"create selfsubjectaccessreviews.authorization.k8s.io",
		"create selfsubjectreviews.authentication.k8s.io",
		"create selfsubjectrulesreviews.authorization.k8s.io",
		"get clustertrustbundles.certificates.k8s.io",
		"list clustertrustbundles.certificates.k8s.io",
		"watch clustertrustbundles.certificates.k8s.io",
	}
	if diff := cmp.Diff(want, allowed(t, client, "dev")); diff != "" {
		t.Errorf("what a fresh account may do (-want +got):\n%s", diff)
	}
	if _, err := client.CoreV1().Pods("dev").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("listing pods: got error %v, want Forbidden", err)
	}
}

// allowed asks of every verb of every resource that is served whether the client may use it, which takes discovery.
func allowed(t *testing.T, client kubernetes.Interface, namespace string) []string {
	t.Helper()
	_, lists, err := client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	if len(lists) == 0 {
		t.Fatal("the server has discovered nothing")
	}
	var may []string
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range list.APIResources {
			for _, verb := range resource.Verbs {
				name, subresource, _ := strings.Cut(resource.Name, "/")
				ask := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
					ResourceAttributes: &authorizationv1.ResourceAttributes{
						Namespace: namespace, Verb: verb, Group: group.Group, Version: group.Version, Resource: name, Subresource: subresource,
					},
				}}
				answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), ask, metav1.CreateOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if answer.Status.Allowed {
					may = append(may, verb+" "+schema.GroupResource{Group: group.Group, Resource: resource.Name}.String())
				}
			}
		}
	}
	slices.Sort(may)
	return may
}

func TestAnAccountThatExistsIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	s.Namespace("dev")
	s.ServiceAccount("dev", "worker")
	before, err := s.Client().CoreV1().ServiceAccounts("dev").Get(t.Context(), "worker", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	again := review(t, s, s.ServiceAccount("dev", "worker").BearerToken)
	if got, want := again.User.UID, string(before.UID); got != want {
		t.Errorf("the account has UID %q the second time, want %q", got, want)
	}
}

func TestOptionsAreThoseOfTheServer(t *testing.T) {
	t.Parallel()
	const audience = "https://vault.example"
	s := mustertest.Start(t, func(o *server.Options) { o.ServiceAccounts.APIAudiences = []string{audience} })
	got := review(t, s, s.ServiceAccount("default", "default").BearerToken)
	if diff := cmp.Diff([]string{audience}, got.Audiences); diff != "" {
		t.Errorf("audiences (-want +got):\n%s", diff)
	}
}

func TestAServerIsGoneWhenItsTestHasEnded(t *testing.T) {
	t.Parallel()
	stays := mustertest.Start(t)
	var address, kubeconfig string
	t.Run("a test", func(t *testing.T) {
		s := mustertest.Start(t)
		where, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		address, kubeconfig = where.Host, s.Kubeconfig()
		if _, err := os.Stat(kubeconfig); err != nil {
			t.Error(err)
		}
	})
	if connection, err := net.Dial("tcp", address); err == nil {
		connection.Close()
		t.Error("the server still listens")
	}
	if _, err := os.Stat(kubeconfig); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the server's folder: got error %v, want that it does not exist", err)
	}
	// The metrics of the process do not ask its store any more, for which a scrape would wait.
	start := time.Now()
	scrape(t, stays)
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("a scrape of another server takes %s", took)
	}
}

// doomed is a test that notes how it failed.
type doomed struct {
	testing.TB
	failure string
}

// Fatalf ends the test, as that of any test does.
func (d *doomed) Fatalf(format string, args ...any) {
	d.failure = fmt.Sprintf(format, args...)
	panic(d)
}

func TestAServerThatDoesNotStartFailsTheTest(t *testing.T) {
	t.Parallel()
	d := &doomed{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(d) {
				panic(r)
			}
		}()
		mustertest.Start(d, func(o *server.Options) { o.ServiceClusterIPRange = "nonsense" })
	}()
	if !strings.Contains(d.failure, "--service-cluster-ip-range") {
		t.Errorf("the test failed with %q, want one that names the option", d.failure)
	}
}

// review asks a server what it thinks of a token.
func review(t *testing.T, s *mustertest.Server, token string) authenticationv1.TokenReviewStatus {
	t.Helper()
	ask := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := s.Client().AuthenticationV1().TokenReviews().Create(t.Context(), ask, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status
}
