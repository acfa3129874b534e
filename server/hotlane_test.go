// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/muster-identity/muster/server/hotlane"
)

// roads are both ways through one server.
type roads struct {
	*hotlane.Lane
	client  kubernetes.Interface
	general atomic.Int64 // requests that the lane has left to the general path

	caller, stranger, bound string // tokens
	podUID                  string
}

func openRoads(t testing.TB, change ...func(*Options)) *roads {
	t.Helper()
	o := NewOptions()
	for _, f := range change {
		f(o)
	}
	o.SecureServing.BindPort = 0
	o.ServiceAccounts.MaxExpiration = 2 * time.Hour
	s := &Server{DataDir: t.TempDir(), Options: o, UnsafeNoSync: true}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &roads{}
	config := s.lane.Config
	general := config.General
	config.General = http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.general.Add(1)
		general.ServeHTTP(w, request)
	})
	r.Lane = hotlane.New(config)
	client, err := kubernetes.NewForConfig(s.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	r.client = client
	r.populate(t, client)
	return r
}

// populate makes two accounts, one of which may do everything, and a pod.
func (r *roads) populate(t testing.TB, client kubernetes.Interface) {
	t.Helper()
	ctx := t.Context()
	const ns = metav1.NamespaceDefault
	var err error
	must := func(_ any, e error) {
		t.Helper()
		if e != nil {
			t.Fatal(e)
		}
	}
	for _, name := range []string{"caller", "stranger"} {
		must(client.CoreV1().ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
	}
	must(client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "caller"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns, Name: "caller"}},
	}, metav1.CreateOptions{}))
	pod, err := client.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec:       corev1.PodSpec{ServiceAccountName: "caller", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	must(pod, err)
	r.podUID = string(pod.UID)
	r.caller = r.issue(t, "caller", authenticationv1.TokenRequestSpec{})
	r.stranger = r.issue(t, "stranger", authenticationv1.TokenRequestSpec{})
	r.bound = r.issue(t, "caller", authenticationv1.TokenRequestSpec{
		Audiences:      []string{"vault"},
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "p"},
	})
	r.fill(r.caller)
	r.fill(r.stranger)
}

// issue makes a token.
func (r *roads) issue(t testing.TB, account string, spec authenticationv1.TokenRequestSpec) string {
	t.Helper()
	made, err := r.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).
		CreateToken(t.Context(), account, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Status.Token
}

// usesName begins the line of the metric that counts the uses of tokens.
const usesName = "serviceaccount_valid_tokens_total "

// uses is how often a token was used, as the server counts it.
func (r *roads) uses(t testing.TB) (count int) {
	t.Helper()
	text, err := r.client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut("\n"+string(text), "\n"+usesName)
	if _, err := fmt.Sscan(rest, &count); ok && err != nil {
		t.Fatal(err)
	}
	return count
}

// fill makes the token a known one.
func (r *roads) fill(token string) {
	request := httptest.NewRequest(http.MethodGet, "/version", nil)
	request.Header.Set("Authorization", "Bearer "+token)
	r.Lane.General.ServeHTTP(httptest.NewRecorder(), request)
}

// call is one request, and which of the two ways is expected to serve it.
type call struct {
	method, path string
	header       map[string]string
	body         string
	// lane says that the lane serves it.
	lane bool
}

const (
	tokenReviewPath  = "/apis/authentication.k8s.io/v1/tokenreviews"
	selfReviewPath   = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	accessReviewPath = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
	tokenRequestPath = "/api/v1/namespaces/default/serviceaccounts/caller/token"
	mediaProtobuf    = "application/vnd.kubernetes.protobuf"
)

func (r *roads) request(c call) *http.Request {
	request := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
	request.RemoteAddr = "127.0.0.1:1234"
	request.Header.Set("Authorization", "Bearer "+r.caller)
	request.Header.Set("User-Agent", "kube-thing/v1 (linux)")
	if c.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.header {
		request.Header.Set(name, value)
	}
	return request
}

// answer is what a client can see of an answer, but for what differs between
// any two: ids and times.
type answer struct {
	Code   int
	Header http.Header
	Body   string
}

var (
	times  = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z| [+]\d{4} [A-Z]+)`)
	tokens = regexp.MustCompile(`eyJ[\w-]+\.(eyJ[\w-]+)\.[\w-]+`)
	ages   = regexp.MustCompile(`"\d+m?\d*s"`) // cells of a table
	unique = regexp.MustCompile(`"(jti|iat|exp|nbf)":("[^"]*"|\d+)`)
)

func answerOf(response *http.Response, sent string) answer {
	body, _ := io.ReadAll(response.Body)
	response.Header.Del("Audit-Id")
	response.Header.Del("Date")
	response.Header.Del("Content-Length") // the library may leave it to the connection
	text := string(body)
	if response.Header.Get("Content-Type") == mediaProtobuf {
		text = decoded(body)
	}
	text = tokens.ReplaceAllStringFunc(text, func(token string) string {
		if strings.Contains(sent, token) {
			return token
		}
		payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		return unique.ReplaceAllString(string(payload), "")
	})
	return answer{response.StatusCode, response.Header, ages.ReplaceAllString(times.ReplaceAllString(text, "TIME"), `"AGE"`)}
}

func decoded(body []byte) string {
	obj, gvk, err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Decode(body, nil, nil)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %+v", gvk, obj)
}

func (r *roads) both(c call) (lane, general answer, byLane bool) {
	before := r.general.Load()
	serve := func(h http.Handler) answer {
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, r.request(c))
		return answerOf(recorder.Result(), c.body)
	}
	lane = serve(r.Lane)
	byLane = r.general.Load() == before
	return lane, serve(r.Lane.General), byLane
}

func asProtobuf(t testing.TB, kind string, obj runtime.Object) string {
	t.Helper()
	obj.GetObjectKind().SetGroupVersionKind(authenticationv1.SchemeGroupVersion.WithKind(kind))
	if kind == "SubjectAccessReview" {
		obj.GetObjectKind().SetGroupVersionKind(authorizationv1.SchemeGroupVersion.WithKind(kind))
	}
	var body bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(obj, &body); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

func (r *roads) calls(t testing.TB) map[string]call {
	t.Helper()
	post := func(path, body string, lane bool, header ...string) call {
		c := call{method: http.MethodPost, path: path, body: body, lane: lane, header: map[string]string{}}
		for i := 0; i+1 < len(header); i += 2 {
			c.header[header[i]] = header[i+1]
		}
		return c
	}
	get := func(path string, lane bool, header ...string) call {
		c := post(path, "", lane, header...)
		c.method = http.MethodGet
		return c
	}
	review := func(spec string) string {
		return `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{"creationTimestamp":null},"spec":` + spec + `,"status":{"user":{}}}`
	}
	access := func(spec string) string {
		return `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":` + spec + `,"status":{"allowed":false}}`
	}
	request := func(spec string) string {
		return `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":` + spec + `,"status":{"token":"","expirationTimestamp":null}}`
	}
	good := `{"token":"` + r.bound + `","audiences":["vault"]}`
	toPod := `{"audiences":["vault","api"],"expirationSeconds":3607,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p","uid":"` + r.podUID + `"}}`
	const resource = `{"resourceAttributes":{"namespace":"default","verb":"get","group":"apps","version":"v1","resource":"pods","subresource":"status","name":"x"},"user":"ann","groups":["a","b"],"uid":"7"}`
	pb := []string{"Content-Type", mediaProtobuf, "Accept", mediaProtobuf + ",application/json"}
	all := map[string]call{
		"review of a good token":                  post(tokenReviewPath, review(good), true),
		"review for the wrong audience":           post(tokenReviewPath, review(`{"token":"`+r.bound+`"}`), true),
		"review of a stranger's token":            post(tokenReviewPath, review(`{"token":"`+r.stranger+`"}`), true),
		"review of a bad signature":               post(tokenReviewPath, review(`{"token":"`+r.bound[:len(r.bound)-8]+`AAAAAAAA"}`), true),
		"review of no token of ours":              post(tokenReviewPath, review(`{"token":"abc"}`), true),
		"review of a token with a space":          post(tokenReviewPath, review(`{"token":"a b"}`), true),
		"review without a type":                   post(tokenReviewPath, `{"spec":`+good+`}`, true),
		"review with white space":                 post(tokenReviewPath, "\n { \"spec\" :\t"+good+" } \r\n", true),
		"review, any answer":                      post(tokenReviewPath, review(good), true, "Accept", "*/*"),
		"review, answered in protobuf":            post(tokenReviewPath, review(good), true, "Accept", mediaProtobuf),
		"review in protobuf":                      post(tokenReviewPath, asProtobuf(t, "TokenReview", &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: r.bound, Audiences: []string{"vault"}}}), true, pb...),
		"review without a token":                  post(tokenReviewPath, review(`{"token":""}`), false),
		"review without a spec":                   post(tokenReviewPath, `{}`, true),
		"review with an escape":                   post(tokenReviewPath, review(`{"token":"\u0061"}`), false),
		"review with an unknown field":            post(tokenReviewPath, review(`{"token":"a","extra":1}`), false),
		"review with a field twice":               post(tokenReviewPath, review(`{"token":"a","token":"b"}`), false),
		"review with a field in other letters":    post(tokenReviewPath, review(`{"Token":"a"}`), false),
		"review with a name":                      post(tokenReviewPath, `{"metadata":{"name":"x"},"spec":`+good+`}`, false),
		"review of another kind":                  post(tokenReviewPath, access(resource), false),
		"review that is no JSON":                  post(tokenReviewPath, `{`, false),
		"review in another encoding":              post(tokenReviewPath, review(good), false, "Content-Type", "application/yaml"),
		"review with a parameter":                 post(tokenReviewPath+"?fieldManager=me", review(good), false),
		"review, dry run":                         post(tokenReviewPath+"?dryRun=All", review(good), false),
		"review as a table":                       post(tokenReviewPath, review(good), false, "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"),
		"review by someone impersonated":          post(tokenReviewPath, review(good), false, "Impersonate-User", "ann"),
		"review with an audit id":                 post(tokenReviewPath, review(good), false, "Audit-ID", "mine"),
		"review by curl":                          post(tokenReviewPath, review(good), false, "User-Agent", "curl/8"),
		"review by nobody":                        post(tokenReviewPath, review(good), false, "Authorization", ""),
		"review by a stranger":                    post(tokenReviewPath, review(good), true, "Authorization", "Bearer "+r.stranger), // 403
		"review by a bad token":                   post(tokenReviewPath, review(good), false, "Authorization", "Bearer x"),
		"access of a resource":                    post(accessReviewPath, access(resource), true),
		"access of a path":                        post(accessReviewPath, access(`{"nonResourceAttributes":{"path":"/a","verb":"get"},"user":"ann","extra":{"scopes":["x"],"b.example/key":["y","z"]}}`), true),
		"access of an admin":                      post(accessReviewPath, access(`{"resourceAttributes":{"verb":"*"},"groups":["system:masters"]}`), true),
		"access of the caller":                    post(accessReviewPath, access(`{"resourceAttributes":{"verb":"get","resource":"pods"},"user":"system:serviceaccount:default:caller"}`), true),
		"access of nobody":                        post(accessReviewPath, access(`{"resourceAttributes":{"verb":"get"}}`), true), // 422
		"access to an empty resource":             post(accessReviewPath, access(`{"resourceAttributes":{},"user":"a"}`), false),
		"access to an empty path":                 post(accessReviewPath, access(`{"nonResourceAttributes":{},"user":"a"}`), false),
		"access with a selector":                  post(accessReviewPath, access(`{"resourceAttributes":{"verb":"list","fieldSelector":{"rawSelector":"a=b"}},"user":"a"}`), false),
		"access in protobuf":                      post(accessReviewPath, asProtobuf(t, "SubjectAccessReview", &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "ann", ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods"}}}), true, pb...),
		"self review":                             post(selfReviewPath, `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"status":{"userInfo":{}}}`, true),
		"self review of a stranger":               post(selfReviewPath, `{}`, true, "Authorization", "Bearer "+r.stranger),
		"self review in protobuf":                 post(selfReviewPath, asProtobuf(t, "SelfSubjectReview", &authenticationv1.SelfSubjectReview{}), true, pb...),
		"token":                                   post(tokenRequestPath, request(`{"audiences":null,"expirationSeconds":null,"boundObjectRef":null}`), true),
		"token bound to a pod":                    post(tokenRequestPath, request(toPod), true),
		"token in protobuf":                       post(tokenRequestPath, asProtobuf(t, "TokenRequest", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"a"}}}), true, pb...),
		"token that is shortened, with a warning": post(tokenRequestPath, request(`{"expirationSeconds":86400}`), true),
		"token of nobody":                         post(strings.Replace(tokenRequestPath, "caller", "nobody", 1), request(`{}`), true),
		"token in no namespace":                   post(strings.Replace(tokenRequestPath, "default", "nowhere", 1), request(`{}`), true),
		"token that lives too short":              post(tokenRequestPath, request(`{"expirationSeconds":1}`), true),
		"token bound to a strange kind":           post(tokenRequestPath, request(`{"boundObjectRef":{"kind":"Job","apiVersion":"batch/v1","name":"x"}}`), true),
		"token by a stranger":                     post(tokenRequestPath, request(`{}`), true, "Authorization", "Bearer "+r.stranger), // 403
		"token at a path with an escape":          post(strings.Replace(tokenRequestPath, "caller", "call%65r", 1), request(`{}`), false),
		"an object":                               get("/api/v1/namespaces/default/pods/p", true),
		"an object in protobuf":                   get("/api/v1/namespaces/default/pods/p", true, "Accept", mediaProtobuf),
		"an object as a table":                    get("/api/v1/namespaces/default/pods/p", true, "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
		"an object in an encoding nobody knows":   get("/api/v1/namespaces/default/pods/p", true, "Accept", "text/x"),
		"an object that is not there":             get("/api/v1/namespaces/default/pods/q", true),
		"an object of a kind that is not served":  get("/apis/apps/v1/namespaces/default/deployments/d", true),
		"an object outside namespaces":            get("/apis/rbac.authorization.k8s.io/v1/clusterroles/view", true),
		"a namespace":                             get("/api/v1/namespaces/default", true),
		"an object, for a stranger":               get("/api/v1/namespaces/default/pods/p", true, "Authorization", "Bearer "+r.stranger), // 403
		"an object with a parameter":              get("/api/v1/namespaces/default/pods/p?resourceVersion=0", false),
		"a part of an object":                     get("/api/v1/namespaces/default/pods/p/status", false),
		"a list":                                  get("/api/v1/namespaces/default/pods", false),
		"a group":                                 get("/apis/rbac.authorization.k8s.io/v1", false),
		"the discovery document":                  get("/.well-known/openid-configuration", true),
		"the keys":                                get("/openid/v1/jwks", true),
		"the keys, for nobody":                    get("/openid/v1/jwks", false, "Authorization", ""),
		"the keys, with a parameter":              get("/openid/v1/jwks?x=y", false),
		"the keys, for a header that is not read": get("/openid/v1/jwks", false, "X-Forwarded-For", "10.0.0.1"),
	}
	maps.Copy(all, r.recorded(t))
	return all
}

func TestBothPathsGiveTheSameAnswer(t *testing.T) {
	t.Parallel()
	r := openRoads(t)
	for name, c := range r.calls(t) {
		t.Run(name, func(t *testing.T) {
			lane, general, byLane := r.both(c)
			if diff := cmp.Diff(general, lane); diff != "" {
				t.Errorf("the general path says -, the lane +:\n%s", diff)
			}
			if byLane != c.lane {
				t.Errorf("served by the lane: %v, want %v (%d %s)", byLane, c.lane, lane.Code, lane.Body)
			}
		})
	}
}

// FuzzBothPathsGiveTheSameAnswer sends any body to each of the kinds.
func FuzzBothPathsGiveTheSameAnswer(f *testing.F) {
	r := openRoads(f)
	paths := []string{tokenReviewPath, selfReviewPath, accessReviewPath, tokenRequestPath}
	for _, c := range r.calls(f) {
		for i, path := range paths {
			if c.path == path {
				f.Add(byte(i), c.header["Content-Type"] == mediaProtobuf, c.body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, inProtobuf bool, body string) {
		c := call{method: http.MethodPost, path: paths[int(kind)%len(paths)], body: body, header: map[string]string{}}
		if inProtobuf {
			c.header["Content-Type"] = mediaProtobuf
		}
		lane, general, _ := r.both(c)
		if diff := cmp.Diff(general, lane); diff != "" {
			t.Errorf("the general path says -, the lane +:\n%s", diff)
		}
		if lane.Code >= http.StatusInternalServerError {
			t.Errorf("%d %s", lane.Code, lane.Body)
		}
	})
}
