// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// nobody is whoever is not let in, or only anonymously.
const nobody = ""

// whoami asks the server who the caller is: "name [groups]", or nobody.
func whoami(t *testing.T, config *rest.Config) string {
	t.Helper()
	info := userOf(t, config)
	if info.Username == nobody {
		return nobody
	}
	return info.Username + " [" + strings.Join(info.Groups, " ") + "]"
}

func userOf(t *testing.T, config *rest.Config) authenticationv1.UserInfo {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) {
		return authenticationv1.UserInfo{}
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.UserInfo
}

// soonIs waits for what a server does when a file has changed.
func soonIs(t *testing.T, config *rest.Config, want string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for whoami(t, config) != want {
		if time.Now().After(deadline) {
			t.Fatalf("is still %q, want %q", whoami(t, config), want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestTheClientCAFileIsReadAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	old, next := newAuthority(t, "old"), newAuthority(t, "new")
	file := old.file(t)
	muster := mustertest.Start(t, func(o *server.Options) { o.ClientCAFile = file })
	ann, ben := old.client(t, muster, "ann", "crew", "deck"), next.client(t, muster, "ben")
	if diff := cmp.Diff([]string{"ann [crew deck system:authenticated]", nobody}, []string{whoami(t, ann), whoami(t, ben)}); diff != "" {
		t.Fatalf("at first (-want +got):\n%s", diff)
	}
	credential := userOf(t, ann).Extra["authentication.kubernetes.io/credential-id"]
	if len(credential) != 1 || !strings.HasPrefix(credential[0], "X509SHA256=") || len(credential[0]) != len("X509SHA256=")+64 {
		t.Errorf("the certificate's id is %q", credential)
	}

	replaceFile(t, file, next.pem)
	soonIs(t, ben, "ben [system:authenticated]")
	soonIs(t, ann, nobody)
}

// withHeaders lets a client speak for others.
func withHeaders(config *rest.Config, headers map[string]string) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(inner http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			for name, value := range headers {
				r.Header.Add(name, value)
			}
			return inner.RoundTrip(r)
		})
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAFrontProxyNamesTheUserAndNobodyElseDoes(t *testing.T) {
	t.Parallel()
	proxies, users := newAuthority(t, "proxies"), newAuthority(t, "users")
	muster := mustertest.Start(t, func(o *server.Options) {
		o.ClientCAFile = users.file(t)
		headers := &o.Authentication.RequestHeader
		headers.ClientCAFile = proxies.file(t)
		headers.AllowedNames = []string{"gate"}
		headers.UsernameHeaders = []string{"X-Remote-User"}
		headers.UIDHeaders = []string{"X-Remote-Uid"}
		headers.GroupHeaders = []string{"X-Remote-Group"}
		headers.ExtraHeaderPrefixes = []string{"X-Remote-Extra-"}
	})
	gate := proxies.client(t, muster, "gate")
	ann := map[string]string{"X-Remote-User": "ann", "X-Remote-Uid": "7", "X-Remote-Group": "crew", "X-Remote-Extra-Example.com%2fdeck": "lower"}
	want := authenticationv1.UserInfo{
		Username: "ann", UID: "7", Groups: []string{"crew", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"example.com/deck": {"lower"}},
	}
	if diff := cmp.Diff(want, userOf(t, withHeaders(gate, ann))); diff != "" {
		t.Errorf("the user that the proxy names (-want +got):\n%s", diff)
	}
	for name, test := range map[string]struct {
		config *rest.Config
		want   string
	}{
		"a proxy that names nobody is nobody itself":      {gate, nobody},
		"a proxy of another name":                         {withHeaders(proxies.client(t, muster, "door"), ann), nobody},
		"a user who names another is who they are":        {withHeaders(users.client(t, muster, "ben"), ann), "ben [system:authenticated]"},
		"a user of the proxy's name":                      {withHeaders(users.client(t, muster, "gate"), ann), "gate [system:authenticated]"},
		"a stranger with headers":                         {withHeaders(stranger(t, muster), ann), nobody},
		"a certificate of an authority that nobody knows": {withHeaders(newAuthority(t, "odd").client(t, muster, "gate"), ann), nobody},
	} {
		if got := whoami(t, test.config); got != test.want {
			t.Errorf("%s: is %q, want %q", name, got, test.want)
		}
	}
}

func TestABootstrapTokenLivesAsLongAsItsSecret(t *testing.T) {
	t.Parallel()
	muster := mustertest.Start(t, func(o *server.Options) { o.Authentication.BootstrapTokens = true })
	secrets := muster.Client().CoreV1().Secrets(metav1.NamespaceSystem)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"},
		Type:       "bootstrap.kubernetes.io/token",
		StringData: map[string]string{
			"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
			"auth-extra-groups": "system:bootstrappers:deck",
		},
	}
	holder := bearing(t, muster, "abcdef.0123456789abcdef")
	if got := whoami(t, holder); got != nobody {
		t.Fatalf("before there is a secret the token is %q", got)
	}
	if _, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	want := "system:bootstrap:abcdef [system:bootstrappers system:bootstrappers:deck system:authenticated]"
	if got := whoami(t, holder); got != want {
		t.Errorf("the holder is %q, want %q", got, want)
	}
	if got := whoami(t, bearing(t, muster, "abcdef.0123456789abcdee")); got != nobody {
		t.Errorf("with another secret part the holder is %q", got)
	}
	if status := statusOf(t, muster.Client(), "abcdef.0123456789abcdef"); status.User.Username != "system:bootstrap:abcdef" {
		t.Errorf("a review finds %q: %s", status.User.Username, status.Error)
	}
	if err := secrets.Delete(t.Context(), secret.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := whoami(t, holder); got != nobody {
		t.Errorf("after its secret is gone the token is %q", got)
	}
}

func TestImpersonationWantsTheVerbForWhatIsTakenOn(t *testing.T) {
	t.Parallel()
	muster := mustertest.Start(t)
	muster.Namespace("dev")
	admin := muster.Client().RbacV1()
	grant := func(account string, rules ...rbacv1.PolicyRule) *rest.Config {
		t.Helper()
		config := muster.ServiceAccount("dev", account)
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: account}, Rules: rules}
		if _, err := admin.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: account},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: account},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "dev", Name: account}},
		}
		if _, err := admin.ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		return config
	}
	classic := grant(
		"classic",
		rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}, ResourceNames: []string{"ann"}},
		rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"groups"}, ResourceNames: []string{"crew"}},
	)
	whole := grant(
		"whole",
		rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users", "serviceaccounts"}, ResourceNames: []string{"ann", "plain"}},
		rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"userextras/deck"}, ResourceNames: []string{"lower"}},
	)
	constrained := grant(
		"constrained",
		rbacv1.PolicyRule{Verbs: []string{"impersonate:user-info"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"users"}, ResourceNames: []string{"ann"}},
		rbacv1.PolicyRule{Verbs: []string{"impersonate-on:user-info:create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"selfsubjectreviews"}},
	)
	uid := grant(
		"uid",
		rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}, ResourceNames: []string{"ann"}},
		rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"uids"}, ResourceNames: []string{"7"}},
	)
	constrainedAccount := grant(
		"constrained-account",
		rbacv1.PolicyRule{Verbs: []string{"impersonate:serviceaccount"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{"plain"}},
		rbacv1.PolicyRule{Verbs: []string{"impersonate-on:serviceaccount:create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"selfsubjectreviews"}},
	)
	constrainedNode := grant(
		"constrained-node",
		rbacv1.PolicyRule{Verbs: []string{"impersonate:arbitrary-node"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"nodes"}, ResourceNames: []string{"worker-3"}},
		rbacv1.PolicyRule{Verbs: []string{"impersonate-on:arbitrary-node:create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"selfsubjectreviews"}},
	)
	constrainedElsewhere := grant(
		"constrained-elsewhere",
		rbacv1.PolicyRule{Verbs: []string{"impersonate:user-info"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"users"}, ResourceNames: []string{"ann"}},
		rbacv1.PolicyRule{Verbs: []string{"impersonate-on:user-info:list"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"selfsubjectreviews"}},
	)
	as := func(config *rest.Config, user string, groups ...string) *rest.Config {
		config = rest.CopyConfig(config)
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
		return config
	}
	on := func(config *rest.Config, deck string) *rest.Config {
		config.Impersonate.Extra = map[string][]string{"deck": {deck}}
		return config
	}
	known := func(config *rest.Config, uid string) *rest.Config {
		config.Impersonate.UID = uid
		return config
	}
	for name, test := range map[string]struct {
		config *rest.Config
		want   string
	}{
		"a UID":                                  {known(as(uid, "ann"), "7"), "ann [system:authenticated]"},
		"another UID":                            {known(as(uid, "ann"), "8"), nobody},
		"a UID without a right to it":            {known(as(classic, "ann"), "7"), nobody},
		"an account, constrained":                {as(constrainedAccount, "system:serviceaccount:dev:plain"), "system:serviceaccount:dev:plain [system:serviceaccounts system:serviceaccounts:dev system:authenticated]"},
		"another account":                        {as(constrainedAccount, "system:serviceaccount:dev:uid"), nobody},
		"a node, constrained":                    {as(constrainedNode, "system:node:worker-3"), "system:node:worker-3 [system:nodes system:authenticated]"},
		"another node":                           {as(constrainedNode, "system:node:worker-4"), nobody},
		"a user, constrained to another request": {as(constrainedElsewhere, "ann"), nobody},
		"a service account":                      {as(whole, "system:serviceaccount:dev:plain"), "system:serviceaccount:dev:plain [system:serviceaccounts system:serviceaccounts:dev system:authenticated]"},
		"another service account":                {as(whole, "system:serviceaccount:dev:classic"), nobody},
		"an extra":                               {on(as(whole, "ann"), "lower"), "ann [system:authenticated]"},
		"an extra of another value":              {on(as(whole, "ann"), "upper"), nobody},
		"an extra without the right to it":       {on(as(classic, "ann"), "lower"), nobody},
		"the user":                               {as(classic, "ann"), "ann [system:authenticated]"},
		"the user and a group":                   {as(classic, "ann", "crew"), "ann [crew system:authenticated]"},
		"another user":                           {as(classic, "ben"), nobody},
		"another group":                          {as(classic, "ann", "system:masters"), nobody},
		"without any right":                      {as(muster.ServiceAccount("dev", "plain"), "ann"), nobody},
		"the user, constrained to this request":  {as(constrained, "ann"), "ann [system:authenticated]"},
		"another user, constrained":              {as(constrained, "ben"), nobody},
	} {
		if got := whoami(t, test.config); got != test.want {
			t.Errorf("taking on %s: is %q, want %q", name, got, test.want)
		}
	}
	client, err := kubernetes.NewForConfig(as(constrained, "ann"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Secrets("dev").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("constrained to another request: %v, want Forbidden", err)
	}
}
