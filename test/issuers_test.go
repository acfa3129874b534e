// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oauth2-proxy/mockoidc"
	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// provider is an OpenID provider that is not Muster.
type provider struct{ *mockoidc.MockOIDC }

// startProvider starts one at an address, which may be that of one that has
// stopped: it then has another key.
func startProvider(t *testing.T, certificate *tls.Config, address string) provider {
	t.Helper()
	made, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if made.Keypair, err = mockoidc.RandomKeypair(2048); err != nil {
		t.Fatal(err)
	}
	made.ClientID = "muster"
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Start(tls.NewListener(listener, certificate), certificate); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.Server.Close() })
	return provider{made}
}

// token is an ID token of a user.
func (p provider) token(t *testing.T, audience string, issued time.Time, change func(*mockoidc.MockUser)) string {
	t.Helper()
	user := mockoidc.DefaultUser()
	change(user)
	session, err := p.SessionStore.NewSession("openid email profile groups", "", user, "", "")
	if err != nil {
		t.Fatal(err)
	}
	config := p.Config()
	config.ClientID = audience
	token, err := session.IDToken(config, p.Keypair, issued)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// jwtOf is the entry of the provider in an AuthenticationConfiguration.
func (p provider) jwtOf(ca authority) string {
	return fmt.Sprintf(`
- issuer:
    url: %s
    audiences: [muster]
    certificateAuthority: %q
  claimValidationRules:
  - expression: claims.?email_verified.orValue(false) == true
    message: the address must be verified
  claimMappings:
    username: {expression: '"oidc:" + claims.preferred_username'}
    groups: {claim: groups, prefix: "oidc:"}
    uid: {claim: sub}
    extra:
    - {key: example.com/email, valueExpression: claims.email}
  userValidationRules:
  - expression: "!user.username.endsWith('root')"
    message: root comes in by no door
`, p.Issuer(), ca.pem)
}

// jwtOfMuster is the entry of another Muster, whose issuer is only a name.
func jwtOfMuster(t *testing.T, muster *mustertest.Server, issuer string) string {
	t.Helper()
	ca := stranger(t, muster).CAData
	return fmt.Sprintf(`
- issuer:
    url: %s
    discoveryURL: %s/.well-known/openid-configuration
    audiences: [fleet]
    certificateAuthority: %q
  claimMappings:
    username: {claim: sub, prefix: "fleet:"}
    groups: {expression: "['fleet:' + claims['kubernetes.io'].namespace]"}
`, issuer, muster.URL(), ca)
}

const configurationHead = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"

// anonymousForHealth lets strangers see one path.
const anonymousForHealth = "anonymous: {enabled: true, conditions: [{path: /livez}]}\n"

func TestTheUsersOfOtherIssuersAreLetInAsTheConfigurationSays(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "provider")
	certificate := ca.serving(t)
	oidc := startProvider(t, certificate, "127.0.0.1:0")
	file := filepath.Join(t.TempDir(), "authentication.yaml")
	replaceFile(t, file, []byte(configurationHead+anonymousForHealth+"jwt:"+oidc.jwtOf(ca)))
	muster := mustertest.Start(t, func(o *server.Options) { o.Authentication.ConfigFile = file })
	jane := func(*mockoidc.MockUser) {}
	now := time.Now()

	first := oidc.token(t, "muster", now, jane)
	soonIs(t, bearing(t, muster, first), "oidc:jane.doe [oidc:engineering oidc:design system:authenticated]")
	want := authenticationv1.UserInfo{
		Username: "oidc:jane.doe", UID: "1234567890", Groups: []string{"oidc:engineering", "oidc:design", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"example.com/email": {"jane.doe@example.com"}},
	}
	info := userOf(t, bearing(t, muster, first))
	delete(info.Extra, "authentication.kubernetes.io/credential-id")
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("the user (-want +got):\n%s", diff)
	}
	for refusal, token := range map[string]string{
		`oidc: verify token: oidc: expected audience "muster" got ["other"]`: oidc.token(t, "other", now, jane),
		"oidc: verify token: oidc: token is expired":                         oidc.token(t, "muster", now.Add(-time.Hour), jane),
		"the address must be verified":                                       oidc.token(t, "muster", now, func(u *mockoidc.MockUser) { u.EmailVerified = false }),
		"root comes in by no door":                                           oidc.token(t, "muster", now, func(u *mockoidc.MockUser) { u.PreferredUsername = "root" }),
		"failed to verify signature":                                         altered(first),
	} {
		if status := statusOf(t, muster.Client(), token); status.Authenticated || !strings.Contains(status.Error, refusal) {
			t.Errorf("authenticated %v with the error %q, want %q", status.Authenticated, status.Error, refusal)
		}
		if got := whoami(t, bearing(t, muster, token)); got != nobody {
			t.Errorf("a token that is refused (%s) lets in %q", refusal, got)
		}
	}

	// The conditions of the file hold for who has no credentials.
	for path, want := range map[string]bool{"/livez": true, "/version": false} {
		client, err := kubernetes.NewForConfig(stranger(t, muster))
		if err != nil {
			t.Fatal(err)
		}
		if err := client.RESTClient().Get().AbsPath(path).Do(t.Context()).Error(); (err == nil) != want {
			t.Errorf("a stranger at %s: %v", path, err)
		}
	}

	// The provider comes back with another key: its tokens are good, and those of the old key are not.
	address := oidc.Server.Addr
	oidc.Server.Close()
	oidc = startProvider(t, certificate, address)
	second := oidc.token(t, "muster", now, jane)
	soonIs(t, bearing(t, muster, second), "oidc:jane.doe [oidc:engineering oidc:design system:authenticated]")
	if got := whoami(t, bearing(t, muster, first)); got != nobody {
		t.Errorf("a token of a key that was withdrawn lets in %q", got)
	}

	// Another Muster joins. Files that are no good before it change nothing.
	const issuer = "https://fleet.example.com"
	fleet := mustertest.Start(t, func(o *server.Options) {
		o.ServiceAccounts.Issuers = []string{issuer}
		o.Run.AdvertiseAddress = net.IPv4(127, 0, 0, 1) // its discovery leads to the keys there
	})
	discoverable(t, fleet)
	for _, bad := range []string{
		"kind: nonsense", configurationHead + anonymousForHealth + "jwt: [{issuer: {url: http://plain.example.com}}]",
		configurationHead + "jwt:" + oidc.jwtOf(ca), // anonymous has changed
	} {
		before := failedReloads(t, muster)
		replaceFile(t, file, []byte(bad))
		for deadline := time.Now().Add(30 * time.Second); failedReloads(t, muster) == before; {
			if time.Now().After(deadline) {
				t.Fatalf("nobody has counted a bad file: %q", bad)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if got := whoami(t, bearing(t, muster, second)); !strings.HasPrefix(got, "oidc:jane.doe") {
			t.Fatalf("with a bad file jane is %q", got)
		}
	}
	bot := accountToken(t, fleet, "fleet")
	replaceFile(t, file, []byte(configurationHead+anonymousForHealth+"jwt:"+oidc.jwtOf(ca)+jwtOfMuster(t, fleet, issuer)))
	soonIs(t, bearing(t, muster, bot), "fleet:system:serviceaccount:dev:bot [fleet:dev system:authenticated]")
	if got := whoami(t, bearing(t, muster, accountToken(t, fleet, "elsewhere"))); got != nobody {
		t.Errorf("a token of another Muster for another audience lets in %q", got)
	}
	if got := whoami(t, bearing(t, muster, second)); !strings.HasPrefix(got, "oidc:jane.doe") {
		t.Errorf("beside another issuer jane is %q", got)
	}
	replaceFile(t, file, []byte(configurationHead+anonymousForHealth+"jwt:"+jwtOfMuster(t, fleet, issuer)))
	soonIs(t, bearing(t, muster, second), nobody)
}

// altered is a token that says what nobody has signed.
func altered(token string) string {
	parts := strings.Split(token, ".")
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	signature[0] ^= 1
	return parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// discoverable lets everybody read the issuer's keys.
func discoverable(t *testing.T, muster *mustertest.Server) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "discovery-for-everybody"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:service-account-issuer-discovery"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:unauthenticated"}},
	}
	if _, err := muster.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	muster.Namespace("dev")
	muster.ServiceAccount("dev", "bot")
}

// accountToken is a token of the account dev/bot for an audience.
func accountToken(t *testing.T, muster *mustertest.Server, audience string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
	answer, err := muster.Client().CoreV1().ServiceAccounts("dev").CreateToken(t.Context(), "bot", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

// failedReloads is the metric's line, whose value is the count.
func failedReloads(t *testing.T, muster *mustertest.Server) string {
	t.Helper()
	metrics, err := muster.Client().Discovery().RESTClient().Get().AbsPath("/metrics").Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(metrics)) {
		if strings.HasPrefix(line, "apiserver_authentication_config_controller_automatic_reloads_total{") && strings.Contains(line, `status="failure"`) {
			return line
		}
	}
	return ""
}

// webhookConfig is a kubeconfig whose server is the TokenReviews of another Muster, as its administrator.
func webhookConfig(t *testing.T, muster *mustertest.Server, version string) string {
	t.Helper()
	return reviewConfig(t, muster, "authentication.k8s.io/"+version+"/tokenreviews")
}

// reviewConfig does the same for any sort of reviews.
func reviewConfig(t *testing.T, muster *mustertest.Server, reviews string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(muster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range config.Clusters {
		cluster.Server += "/apis/" + reviews
	}
	path := filepath.Join(t.TempDir(), "webhook.kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOneMusterAsksAnotherWhoseATokenIs(t *testing.T) {
	t.Parallel()
	const audience = "https://asking.example.com"
	asked := mustertest.Start(t)
	asked.Namespace("dev")
	asked.ServiceAccount("dev", "bot")
	asking := mustertest.Start(t, func(o *server.Options) {
		o.ServiceAccounts.Issuers = []string{audience}
		o.Authentication.Webhook.ConfigFile = webhookConfig(t, asked, "v1beta1") // the default version is v1beta1
		o.Authentication.Webhook.CacheTTL = 0
	})
	token := accountToken(t, asked, audience)
	account, err := asked.Client().CoreV1().ServiceAccounts("dev").Get(t.Context(), "bot", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	info := userOf(t, bearing(t, asking, token))
	if diff := cmp.Diff("system:serviceaccount:dev:bot "+string(account.UID), info.Username+" "+info.UID); diff != "" {
		t.Errorf("the user (-want +got):\n%s", diff)
	}
	if got := info.Extra["authentication.kubernetes.io/credential-id"]; len(got) != 1 || !strings.HasPrefix(got[0], "JTI=") {
		t.Errorf("the credential's id is %q", got)
	}
	if got := whoami(t, bearing(t, asking, accountToken(t, asked, "elsewhere"))); got != nobody {
		t.Errorf("a token for another audience lets in %q", got)
	}
	for _, version := range []string{"v1", "v1beta1"} {
		webhook, err := authn.NewWebhook(authn.Webhook{ConfigFile: webhookConfig(t, asked, version), Version: version})
		if err != nil {
			t.Fatal(err)
		}
		response, ok, err := webhook.AuthenticateToken(t.Context(), asked.ServiceAccount("dev", "bot").BearerToken)
		if err != nil || !ok || response.User.GetName() != "system:serviceaccount:dev:bot" {
			t.Errorf("%s: %v, %v", version, ok, err)
		}
		if _, ok, err := webhook.AuthenticateToken(t.Context(), "nonsense"); ok || err == nil || !strings.Contains(err.Error(), "invalid bearer token") {
			t.Errorf("%s: nonsense is ok: %v, %v", version, ok, err)
		}
	}
	if err := asked.Client().CoreV1().ServiceAccounts("dev").Delete(t.Context(), "bot", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := whoami(t, bearing(t, asking, token)); got != nobody {
		t.Errorf("after its account is gone the token lets in %q", got)
	}
}
