// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package tokens

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/live"
)

// world is what exists, as both of them see it.
type world struct {
	objects map[string]runtime.Object
	view    *live.View
	// ring are the keys that verify; strange is one that does not.
	ring    []key
	strange key
	// legacy are tokens that are or were kept in secrets.
	legacy []string
}

// key is a private key and who signs with it.
type key struct {
	private crypto.Signer
	signer  *keyring.LocalSigner
}

func newKey(t *testing.T, algorithm keyring.Algorithm) key {
	t.Helper()
	private, err := keyring.Generate(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keyring.NewLocalSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return key{private, signer}
}

// The names of objects say what is the matter with them.
var names = []string{"alive", "leaving", "gone", "absent"}

func newWorld(t *testing.T, r *rand.Rand) *world {
	t.Helper()
	w := &world{objects: map[string]runtime.Object{}, strange: newKey(t, jose.ES256)}
	for _, algorithm := range []keyring.Algorithm{jose.ES256, jose.RS256, jose.ES384} {
		w.ring = append(w.ring, newKey(t, algorithm))
	}
	w.view = live.New(w, nil)
	for i, name := range names[:3] {
		meta := metav1.ObjectMeta{Namespace: "dev", Name: name, UID: types.UID(name + "-uid"), ResourceVersion: fmt.Sprint(i + 1)}
		if name != "alive" {
			ago := map[string]time.Duration{"leaving": 20 * time.Second, "gone": 80 * time.Second}[name]
			meta.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(-ago).Truncate(time.Second)}
		}
		account := &corev1.ServiceAccount{ObjectMeta: meta, Secrets: []corev1.ObjectReference{{Name: "auto"}, {Name: "auto-marked"}}}
		w.add("serviceaccounts", account)
		w.add("pods", &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{NodeName: "alive"}})
		w.add("secrets", &corev1.Secret{ObjectMeta: meta})
		meta.Namespace = ""
		w.add("nodes", &corev1.Node{ObjectMeta: meta})
	}
	for i := range 200 {
		w.keepLegacy(t, r, i)
	}
	return w
}

func (w *world) add(resource string, object metav1.Object) {
	w.objects[resource+"/"+object.GetNamespace()+"/"+object.GetName()] = object.(runtime.Object)
	w.view.Commit(schema.GroupResource{Resource: resource}, object.(runtime.Object), false)
}

// keepLegacy makes a token and, for most, a secret that keeps it.
func (w *world) keepLegacy(t *testing.T, r *rand.Rand, i int) {
	t.Helper()
	account, name := oneOf(r, names...), fmt.Sprint("secret-", i)
	if i < 2 {
		account, name = "alive", []string{"auto", "auto-marked"}[i]
	}
	payload := map[string]any{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:dev:" + account,
		"kubernetes.io/serviceaccount/namespace": "dev", "kubernetes.io/serviceaccount/secret.name": name,
		"kubernetes.io/serviceaccount/service-account.name": account,
		"kubernetes.io/serviceaccount/service-account.uid":  oneOf(r, account+"-uid", account+"-uid", account+"-uid", "another"),
	}
	if i >= 2 && r.IntN(4) == 0 {
		for claim := range payload {
			if claim != "iss" && r.IntN(6) == 0 {
				payload[claim] = oneOf(r, "", "system:serviceaccount:dev:other", "x")
			}
		}
	}
	compact := w.sign(t, w.ring[r.IntN(len(w.ring))], payload)
	w.legacy = append(w.legacy, compact)
	if i >= 2 && r.IntN(8) == 0 {
		return // the secret is gone
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name, UID: types.UID(name + "-uid"), ResourceVersion: fmt.Sprint(i + 10), Labels: map[string]string{}},
		Type:       corev1.SecretTypeServiceAccountToken, Data: map[string][]byte{"token": []byte(compact)},
	}
	if i >= 2 && r.IntN(8) == 0 {
		secret.Data["token"] = []byte(compact + "x")
	}
	if i >= 2 && r.IntN(8) == 0 {
		secret.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(time.Minute)}
	}
	if i == 1 || r.IntN(6) == 0 {
		secret.Labels["kubernetes.io/legacy-token-invalid-since"] = "2026-01-01"
	}
	if day := r.IntN(4) - 2; day < 2 {
		secret.Labels["kubernetes.io/legacy-token-last-used"] = time.Now().UTC().AddDate(0, 0, day).Format(time.DateOnly)
	}
	w.add("secrets", secret)
}

// token is a random one.
func (w *world) token(t *testing.T, r *rand.Rand) string {
	t.Helper()
	if r.IntN(4) == 0 {
		return w.legacy[r.IntN(len(w.legacy))]
	}
	signer := w.ring[r.IntN(len(w.ring))]
	if r.IntN(15) == 0 {
		signer = w.strange
	}
	payload := w.payload(r)
	compact := ""
	if r.IntN(6) == 0 {
		compact = anonymous(t, signer, payload)
	} else {
		compact = w.sign(t, signer, payload)
	}
	if r.IntN(20) == 0 { // somebody has meddled with the signature
		parts := strings.Split(compact, ".")
		compact = parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))
	}
	return compact
}

func oneOf(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

// payload are random claims of a bound token, most of them good.
func (w *world) payload(r *rand.Rand) map[string]any {
	rarely := func(good any, bad ...any) any {
		if r.IntN(12) > 0 {
			return good
		}
		return bad[r.IntN(len(bad))]
	}
	now := time.Now().Unix()
	// No time is within some seconds of where a verdict changes: the clock goes on between the two.
	audiences := rarely([]string{api}, []string{"vault"}, []string{"api", api, "vault"}, []string{api, api}, []string{}, []string{""}).([]string)
	account := rarely("alive", "leaving", "gone", "absent", "").(string)
	claims := map[string]any{
		"iss": rarely(api, other, "https://elsewhere.example", "", "kubernetes/serviceaccount"), "aud": audiences, "sub": "system:serviceaccount:dev:" + account,
		"iat": now + rarely(int64(-100), int64(30), int64(90)).(int64), "nbf": now + rarely(int64(-100), int64(30), int64(90)).(int64),
		"exp": now + rarely(int64(3000), int64(-30), int64(-90), -now).(int64),
	}
	if jti := rarely("2c5f2f7a-52d1-4c5e-9d0a-6f6d3c1c0b52", "", "x").(string); jti != "" {
		claims["jti"] = jti
	}
	ref := func() map[string]string {
		name := rarely("alive", "leaving", "gone", "absent").(string)
		return map[string]string{"name": name, "uid": rarely(name+"-uid", "another", "").(string)}
	}
	private := map[string]any{
		"namespace":      rarely("dev", "other", ""),
		"serviceaccount": map[string]string{"name": account, "uid": rarely(account+"-uid", "another", "").(string)},
	}
	switch r.IntN(6) {
	case 0, 1:
		private["pod"] = ref()
		if r.IntN(2) == 0 {
			private["node"] = rarely(ref(), map[string]string{"name": "n"}, map[string]string{"uid": "u"}, map[string]string{})
		}
	case 2:
		private["secret"] = ref()
	case 3:
		private["node"] = ref()
	case 4:
		if r.IntN(6) == 0 {
			private["pod"], private["secret"], private["node"] = ref(), ref(), ref()
		}
		if r.IntN(6) == 0 {
			private[oneOf(r, "validatingwebhookconfiguration", "mutatingwebhookconfiguration")] = ref()
			private["attestations"] = map[string][]string{"admissionReviewAPIGroups": {"apps"}}
		}
	}
	if r.IntN(5) == 0 {
		private["warnafter"] = rarely(now-1000, now+1000, int64(0))
	}
	claims["kubernetes.io"] = private
	return claims
}

func (w *world) sign(t *testing.T, by key, payload map[string]any) string {
	t.Helper()
	data, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := by.signer.Sign(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// anonymous signs without saying with which key.
func anonymous(t *testing.T, by key, payload map[string]any) string {
	t.Helper()
	data, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: by.signer.Keys()[0].Algorithm, Key: by.private}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(data)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// readable is what a token says, without its signature.
func readable(compact string) string {
	parts := strings.Split(compact, ".")
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return string(header) + "." + string(payload)
}

// Get is the live view's way to the store.
func (w *world) Get(_ context.Context, resource schema.GroupResource, namespace, name string) (runtime.Object, error) {
	object, ok := w.objects[resource.Resource+"/"+namespace+"/"+name]
	if !ok {
		return nil, apierrors.NewNotFound(resource, name)
	}
	return object, nil
}

func get[T runtime.Object](w *world, resource, namespace, name string) (T, error) {
	object, err := w.Get(context.Background(), schema.GroupResource{Resource: resource}, namespace, name)
	if err != nil {
		var none T
		return none, err
	}
	return object.(T), nil
}

// What follows is Kubernetes' way to the objects.

func (w *world) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get[*corev1.ServiceAccount](w, "serviceaccounts", namespace, name)
}

func (w *world) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return get[*corev1.Pod](w, "pods", namespace, name)
}

func (w *world) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return get[*corev1.Secret](w, "secrets", namespace, name)
}

func (w *world) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return get[*corev1.Node](w, "nodes", "", name)
}

func (w *world) GetValidatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return get[*admissionregistrationv1.ValidatingWebhookConfiguration](w, "validatingwebhookconfigurations", "", name)
}

func (w *world) GetMutatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return get[*admissionregistrationv1.MutatingWebhookConfiguration](w, "mutatingwebhookconfigurations", "", name)
}

// marker takes down which secrets Kubernetes marks as used. The secrets stay as they are.
type marker struct{ marks *[]string }

func (m marker) Secrets(namespace string) typedv1.SecretInterface {
	return markedSecrets{namespace: namespace, marks: m.marks}
}

type markedSecrets struct {
	typedv1.SecretInterface
	namespace string
	marks     *[]string
}

func (m markedSecrets) Patch(_ context.Context, name string, _ types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*corev1.Secret, error) {
	var patch corev1.Secret
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, err
	}
	*m.marks = append(*m.marks, m.namespace+"/"+name+" "+patch.Labels["kubernetes.io/legacy-token-last-used"])
	return &patch, nil
}
