// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package mustertest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

type csrType = certificatesv1.CertificateSigningRequest

// applicant is somebody with a key who wants a certificate.
type applicant struct {
	key     *ecdsa.PrivateKey
	request []byte
}

func newApplicant(t *testing.T, template x509.CertificateRequest) applicant {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return applicant{key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}
}

func named(name string, groups ...string) x509.CertificateRequest {
	return x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: groups}}
}

func (a applicant) csr(name, signer string, usages ...certificatesv1.KeyUsage) *csrType {
	return &csrType{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       certificatesv1.CertificateSigningRequestSpec{Request: a.request, SignerName: signer, Usages: usages},
	}
}

// client is a client that shows the certificate.
func (a applicant) client(t *testing.T, s *mustertest.Server, certificate []byte) *kubernetes.Clientset {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(s.Admin())
	config.CertData, config.KeyData = certificate, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return clientOf(t, config)
}

func clientOf(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func createCSR(t *testing.T, client kubernetes.Interface, csr *csrType) *csrType {
	t.Helper()
	made, err := client.CertificatesV1().CertificateSigningRequests().Create(t.Context(), csr, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func approveCSR(t *testing.T, client kubernetes.Interface, csr *csrType) {
	t.Helper()
	csr = csr.DeepCopy()
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test",
	})
	if _, err := client.CertificatesV1().CertificateSigningRequests().UpdateApproval(t.Context(), csr.Name, csr, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitCSR waits until a request is as wanted.
func awaitCSR(t *testing.T, client kubernetes.Interface, name string, wanted func(*csrType) bool) *csrType {
	t.Helper()
	requests := client.CertificatesV1().CertificateSigningRequests()
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	found, err := requests.List(t.Context(), only)
	if err != nil {
		t.Fatal(err)
	}
	for i := range found.Items {
		if wanted(&found.Items[i]) {
			return &found.Items[i]
		}
	}
	only.ResourceVersion = found.ResourceVersion
	watcher, err := requests.Watch(t.Context(), only)
	if err != nil {
		t.Fatal(err)
	}
	event, err := watchtools.UntilWithoutRetry(t.Context(), watcher, func(event watch.Event) (bool, error) {
		csr, ok := event.Object.(*csrType)
		if !ok {
			return false, fmt.Errorf("a watch showed a %T", event.Object)
		}
		return wanted(csr), nil
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v", name, err)
	}
	return event.Object.(*csrType)
}

func isIssued(csr *csrType) bool { return len(csr.Status.Certificate) > 0 }

func hasCondition(csr *csrType, kind certificatesv1.RequestConditionType) bool {
	for _, condition := range csr.Status.Conditions {
		if condition.Type == kind {
			return true
		}
	}
	return false
}

func leafOf(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatal("no certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestAnApprovedCertificateIsAWayIn(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	s.Namespace("dev")
	ann := newApplicant(t, named("ann", "crew", "navigators"))
	// Whoever asks is not whoever is certified: that is for the approver to judge.
	reporter := clientOf(t, s.ServiceAccount("dev", "reporter"))
	grant(t, s, "asks", "system:serviceaccount:dev:reporter", rule("create get list watch", "certificatesigningrequests"))
	csr := ann.csr("ann", certificatesv1.KubeAPIServerClientSignerName, certificatesv1.UsageClientAuth)
	csr.Spec.Username, csr.Spec.Groups = "root", []string{"system:masters"} // somebody else decides that
	csr.Spec.ExpirationSeconds = new(int32(3600))
	made := createCSR(t, reporter, csr)
	if made.Spec.Username != "system:serviceaccount:dev:reporter" || made.Spec.UID == "" || len(made.Spec.Groups) != 3 {
		t.Errorf("the requester is %q (%q) of %v", made.Spec.Username, made.Spec.UID, made.Spec.Groups)
	}
	approveCSR(t, s.Client(), made)
	issued := awaitCSR(t, s.Client(), "ann", isIssued)
	leaf := leafOf(t, issued.Status.Certificate)
	if life := time.Until(leaf.NotAfter); life > time.Hour || life < 50*time.Minute {
		t.Errorf("a certificate of an hour lives for %s", life)
	}
	client := ann.client(t, s, issued.Status.Certificate)
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(review.Status.UserInfo.Username, review.Status.UserInfo.Groups); got != "ann[crew navigators system:authenticated]" {
		t.Errorf("the certificate says %s", got)
	}
	if _, err := client.CoreV1().Pods("dev").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("who was given nothing may list pods: %v", err)
	}
	for _, line := range []string{
		`apiserver_certificates_registry_csr_requested_duration_total{signerName="kubernetes.io/kube-apiserver-client"} 1`,
		`apiserver_certificates_registry_csr_honored_duration_total{signerName="kubernetes.io/kube-apiserver-client"} 1`,
	} {
		if all := scrape(t, s); !strings.Contains(all, "\n"+line+"\n") {
			t.Errorf("the metrics do not have %s", line)
		}
	}
	// A certificate that was issued stays as it is.
	issued.Status.Certificate = nil
	_, err = s.Client().CertificatesV1().CertificateSigningRequests().UpdateStatus(t.Context(), issued, metav1.UpdateOptions{})
	wantInvalid(t, err, "status.certificate", "updates may not modify existing certificate content")
}

// scrape reads the metrics of a server.
func scrape(t *testing.T, s *mustertest.Server) string {
	t.Helper()
	text, err := s.Client().CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func rule(verbs string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Fields(verbs), APIGroups: []string{certificatesv1.GroupName}, Resources: resources}
}

func onSigner(verb, name string) rbacv1.PolicyRule {
	r := rule(verb, "signers")
	r.ResourceNames = []string{name}
	return r
}

// grant gives a user rules of its own.
func grant(t *testing.T, s *mustertest.Server, name, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	if _, err := s.Client().RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bind(t, s, name, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: user})
}

func bind(t *testing.T, s *mustertest.Server, role string, subject rbacv1.Subject) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{subject},
	}
	if _, err := s.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// as is the administrator in the name of somebody else.
func as(t *testing.T, s *mustertest.Server, user string, groups ...string) *kubernetes.Clientset {
	t.Helper()
	config := s.Admin()
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return clientOf(t, config)
}

func wantInvalid(t *testing.T, err error, field, message string) {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) {
		t.Errorf("got %v, want an invalid %s: %s", err, field, message)
		return
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Field == field && strings.Contains(cause.Message, message) {
			return
		}
	}
	t.Errorf("got %v, want an invalid %s: %s", err, field, message)
}

func wantForbidden(t *testing.T, err error, message string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), message) {
		t.Errorf("got %v, want it forbidden: %s", err, message)
	}
}

// A machine with a bootstrap token becomes a node, and a node renews its
// certificate, without anybody's approval; nobody becomes another node.
func TestKubeletsGetTheirCertificatesByThemselves(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t, func(o *server.Options) { o.Authentication.BootstrapTokens = true })
	const id, secret = "abcdef", "0123456789abcdef"
	_, err := s.Client().CoreV1().Secrets("kube-system").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id}, Type: "bootstrap.kubernetes.io/token",
		StringData: map[string]string{"token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bootstrappers := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:bootstrappers"}
	bind(t, s, "system:node-bootstrapper", bootstrappers)
	bind(t, s, "system:certificates.k8s.io:certificatesigningrequests:nodeclient", bootstrappers)
	bind(t, s, "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:nodes"})

	config := rest.AnonymousClientConfig(s.Admin())
	config.BearerToken = id + "." + secret
	usages := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}
	n1 := newApplicant(t, named("system:node:n1", "system:nodes"))
	createCSR(t, clientOf(t, config), n1.csr("n1", certificatesv1.KubeAPIServerClientKubeletSignerName, usages...))
	issued := awaitCSR(t, s.Client(), "n1", isIssued)
	if reason := issued.Status.Conditions[0].Reason; reason != "AutoApproved" {
		t.Errorf("approved because of %q", reason)
	}
	node := n1.client(t, s, issued.Status.Certificate)
	review, err := node.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(review.Status.UserInfo.Username, review.Status.UserInfo.Groups); got != "system:node:n1[system:nodes system:authenticated]" {
		t.Errorf("the node is %s", got)
	}

	// Through RBAC as well, where there is no node authorizer.
	bind(t, s, "system:node", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:nodes"})
	again := newApplicant(t, named("system:node:n1", "system:nodes"))
	createCSR(t, node, again.csr("n1-again", certificatesv1.KubeAPIServerClientKubeletSignerName, usages...))
	awaitCSR(t, s.Client(), "n1-again", isIssued)

	other := newApplicant(t, named("system:node:n2", "system:nodes"))
	_, err = node.CertificatesV1().CertificateSigningRequests().Create(t.Context(),
		other.csr("n2", certificatesv1.KubeAPIServerClientKubeletSignerName, usages...), metav1.CreateOptions{})
	wantForbidden(t, err, `can only create a node CSR with CN=system:node:n1`)
}

// What the rules of a signer do not allow is approved in vain.
func TestARequestThatBreaksTheRulesOfItsSignerFails(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	const client, kubelet, serving = certificatesv1.KubeAPIServerClientSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName, certificatesv1.KubeletServingSignerName
	const clientAuth, serverAuth, signature = certificatesv1.UsageClientAuth, certificatesv1.UsageServerAuth, certificatesv1.UsageDigitalSignature
	withIP := named("system:node:n1", "system:nodes")
	withIP.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)}
	for name, test := range map[string]struct {
		template x509.CertificateRequest
		signer   string
		usages   []certificatesv1.KeyUsage
		want     string
	}{
		"client-server-auth":  {named("ann"), client, []certificatesv1.KeyUsage{clientAuth, serverAuth}, "invalid usage for client certificate: server auth"},
		"client-no-auth":      {named("ann"), client, []certificatesv1.KeyUsage{signature}, "missing required usage for client certificate: client auth"},
		"kubelet-group":       {named("system:node:n1", "crew"), kubelet, []certificatesv1.KeyUsage{clientAuth, signature}, "subject organization is not system:nodes"},
		"kubelet-name":        {named("n1", "system:nodes"), kubelet, []certificatesv1.KeyUsage{clientAuth, signature}, "subject common name does not begin with system:node:"},
		"kubelet-ip":          {withIP, kubelet, []certificatesv1.KeyUsage{clientAuth, signature}, "IP subjectAltNames are not allowed"},
		"kubelet-usages":      {named("system:node:n1", "system:nodes"), kubelet, []certificatesv1.KeyUsage{clientAuth}, "usages did not match [client auth digital signature key encipherment]"},
		"serving-no-names":    {named("system:node:n1", "system:nodes"), serving, []certificatesv1.KeyUsage{serverAuth, signature}, "DNS or IP subjectAltName is required"},
		"serving-client-auth": {withIP, serving, []certificatesv1.KeyUsage{serverAuth, clientAuth, signature}, "usages did not match [digital signature key encipherment server auth]"},
		"serving":             {withIP, serving, []certificatesv1.KeyUsage{serverAuth, signature}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			approveCSR(t, s.Client(), createCSR(t, s.Client(), newApplicant(t, test.template).csr(name, test.signer, test.usages...)))
			got := awaitCSR(t, s.Client(), name, func(csr *csrType) bool { return isIssued(csr) || hasCondition(csr, certificatesv1.CertificateFailed) })
			if isIssued(got) != (test.want == "") {
				t.Fatalf("issued %v", isIssued(got))
			}
			if last := got.Status.Conditions[len(got.Status.Conditions)-1]; test.want != "" && (last.Reason != "SignerValidationFailure" || last.Message != test.want) {
				t.Errorf("failed for %s: %s, want %s", last.Reason, last.Message, test.want)
			}
		})
	}
}

// Who may update the approval or the status of a request at all still needs the
// verb on the signer.
func TestVerdictsAndSignaturesBelongToTheSigner(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	grant(t, s, "updates", "clerk", rule("get update patch", "certificatesigningrequests", "certificatesigningrequests/approval", "certificatesigningrequests/status"))
	requests := as(t, s, "clerk").CertificatesV1().CertificateSigningRequests()
	const signer = "example.com/badges"
	made := createCSR(t, s.Client(), newApplicant(t, named("ann")).csr("ann", signer, certificatesv1.UsageClientAuth))
	approved := made.DeepCopy()
	approved.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue}}
	failed := made.DeepCopy()
	failed.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateFailed, Status: corev1.ConditionTrue}}

	_, err := requests.UpdateApproval(t.Context(), "ann", approved, metav1.UpdateOptions{})
	wantForbidden(t, err, `user not permitted to approve requests with signerName "example.com/badges"`)
	_, err = requests.UpdateStatus(t.Context(), failed, metav1.UpdateOptions{})
	wantForbidden(t, err, `user not permitted to sign requests with signerName "example.com/badges"`)
	if _, err = requests.UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Errorf("an update that changes nothing: %v", err)
	}
	// The side of the signer is not that of the approver, whoever comes.
	_, err = s.Client().CertificatesV1().CertificateSigningRequests().UpdateStatus(t.Context(), approved, metav1.UpdateOptions{})
	wantInvalid(t, err, "status.conditions", `updates may not add a condition of type "Approved"`)

	grant(t, s, "approves", "clerk", onSigner("approve", signer))
	if approved, err = requests.UpdateApproval(t.Context(), "ann", approved, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	denied := approved.DeepCopy()
	denied.Status.Conditions = append(denied.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateDenied, Status: corev1.ConditionTrue})
	_, err = requests.UpdateApproval(t.Context(), "ann", denied, metav1.UpdateOptions{})
	wantInvalid(t, err, "status.conditions", "must specify at most one of: ")
	denied.Status.Conditions = denied.Status.Conditions[1:]
	_, err = requests.UpdateApproval(t.Context(), "ann", denied, metav1.UpdateOptions{})
	wantInvalid(t, err, "status.conditions", `updates may not remove a condition of type "Approved"`)

	grant(t, s, "signs", "clerk", onSigner("sign", "example.com/*"))
	approved.Status.Certificate = []byte("no certificate")
	_, err = requests.UpdateStatus(t.Context(), approved, metav1.UpdateOptions{})
	wantInvalid(t, err, "status.certificate", "must contain at least one CERTIFICATE PEM block")
}

func TestRequestsThatAreNotTakenSayWhy(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	requests := s.Client().CertificatesV1().CertificateSigningRequests()
	ann := newApplicant(t, named("ann"))
	for name, test := range map[string]struct {
		change        func(*certificatesv1.CertificateSigningRequestSpec)
		field, reason string
	}{
		"no PEM":         {func(s *certificatesv1.CertificateSigningRequestSpec) { s.Request = []byte("x") }, "spec.request", "PEM block type must be CERTIFICATE REQUEST"},
		"forged":         {func(s *certificatesv1.CertificateSigningRequestSpec) { s.Request = forge(s.Request) }, "spec.request", "x509:"},
		"no usages":      {func(s *certificatesv1.CertificateSigningRequestSpec) { s.Usages = nil }, "spec.usages", "Required value"},
		"unknown usage":  {func(s *certificatesv1.CertificateSigningRequestSpec) { s.Usages[0] = "magic" }, "spec.usages[0]", `Unsupported value: "magic"`},
		"repeated usage": {func(s *certificatesv1.CertificateSigningRequestSpec) { s.Usages = append(s.Usages, s.Usages[0]) }, "spec.usages[1]", "Duplicate value"},
		"no signer":      {func(s *certificatesv1.CertificateSigningRequestSpec) { s.SignerName = "" }, "spec.signerName", "Required value"},
		"odd signer":     {func(s *certificatesv1.CertificateSigningRequestSpec) { s.SignerName = "badges" }, "spec.signerName", "must be a fully qualified domain and path"},
		"legacy signer":  {func(s *certificatesv1.CertificateSigningRequestSpec) { s.SignerName = "kubernetes.io/legacy-unknown" }, "spec.signerName", "the legacy signerName is not allowed via this API version"},
		"short life":     {func(s *certificatesv1.CertificateSigningRequestSpec) { s.ExpirationSeconds = new(int32(599)) }, "spec.expirationSeconds", "may not specify a duration less than 600 seconds (10 minutes)"},
	} {
		csr := ann.csr("refused", certificatesv1.KubeAPIServerClientSignerName, certificatesv1.UsageClientAuth)
		test.change(&csr.Spec)
		t.Run(name, func(t *testing.T) {
			_, err := requests.Create(t.Context(), csr, metav1.CreateOptions{})
			wantInvalid(t, err, test.field, test.reason)
		})
	}
	masters := newApplicant(t, named("ann", "crew", "system:masters"))
	_, err := requests.Create(t.Context(), masters.csr("masters", certificatesv1.KubeAPIServerClientSignerName, certificatesv1.UsageClientAuth), metav1.CreateOptions{})
	wantForbidden(t, err, "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed")
	// What was asked for stays: a change of it is not heard.
	made := createCSR(t, s.Client(), ann.csr("kept", "example.com/badges", certificatesv1.UsageClientAuth))
	made.Spec.SignerName, made.Spec.Username = certificatesv1.KubeAPIServerClientSignerName, "root"
	kept, err := requests.Update(t.Context(), made, metav1.UpdateOptions{})
	if err != nil || kept.Spec.SignerName != "example.com/badges" || kept.Spec.Username == "root" {
		t.Errorf("an update made it %s of %s (%v)", kept.Spec.SignerName, kept.Spec.Username, err)
	}
}

// forge changes one bit of the signature in a request.
func forge(request []byte) []byte {
	block, _ := pem.Decode(request)
	block.Bytes[len(block.Bytes)-1] ^= 1
	return pem.EncodeToMemory(block)
}
