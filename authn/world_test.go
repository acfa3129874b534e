// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"crypto"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

const (
	api   = "https://muster.example"
	other = "https://old.muster.example"
)

// now has parts of a second, which tokens do not have.
var now = time.Date(2026, 11, 1, 12, 0, 0, 500_000_000, time.UTC)

// world is what exists: account, pod, secret and node, by kind; an error of a
// kind is given instead of its object. It counts how often it is asked.
type world struct {
	mu sync.Mutex
	// Guarded by mu.
	objects map[string]live.Meta
	errs    map[string]error
	reads   int
}

// inhabited is the world in which the token of grant is good.
func inhabited() *world {
	return &world{
		objects: map[string]live.Meta{
			"serviceaccounts": {Namespace: "shop", Name: "cart", UID: "cart-uid"},
			"pods":            {Namespace: "shop", Name: "cart-0", UID: "pod-uid"},
			"secrets":         {Namespace: "shop", Name: "seal", UID: "seal-uid"},
			"nodes":           {Name: "n1", UID: "node-uid"},

			"ValidatingWebhookConfiguration": {Name: "hooks", UID: "hooks-uid"},
			"MutatingWebhookConfiguration":   {Name: "hooks", UID: "mutating-uid"},
		},
		errs: map[string]error{},
	}
}

func (w *world) get(kind, namespace, name string) (live.Meta, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	if err := w.errs[kind]; err != nil {
		return live.Meta{}, err
	}
	object, ok := w.objects[kind]
	if !ok || object.Namespace != namespace || object.Name != name {
		return live.Meta{}, apierrors.NewNotFound(schema.GroupResource{Resource: kind}, name)
	}
	return object, nil
}

func (w *world) ServiceAccount(_ context.Context, namespace, name string) (live.ServiceAccount, error) {
	object, err := w.get("serviceaccounts", namespace, name)
	return live.ServiceAccount{Meta: object}, err
}

func (w *world) Pod(_ context.Context, namespace, name string) (live.Pod, error) {
	object, err := w.get("pods", namespace, name)
	return live.Pod{Meta: object}, err
}

func (w *world) Secret(_ context.Context, namespace, name string) (live.Secret, error) {
	object, err := w.get("secrets", namespace, name)
	return live.Secret{Meta: object}, err
}

func (w *world) Node(_ context.Context, name string) (live.Node, error) {
	object, err := w.get("nodes", "", name)
	return live.Node{Meta: object}, err
}

func (w *world) WebhookConfiguration(_ context.Context, of live.WebhookKind, name string) (live.WebhookConfiguration, error) {
	object, err := w.get(string(of), "", name)
	return live.WebhookConfiguration{Meta: object}, err
}

func (w *world) fail(kind string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs[kind] = err
}

func (w *world) remove(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.objects, kind)
}

// change changes the object of a kind.
func (w *world) change(kind string, change func(*live.Meta)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	object := w.objects[kind]
	change(&object)
	w.objects[kind] = object
}

func (w *world) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads
}

// signer is a private key and the id that it signs under.
type signer struct {
	private crypto.Signer
	key     keyring.Key
	keyring.Signer
}

func newSigner(t testing.TB) signer {
	t.Helper()
	private, err := keyring.Generate(keyring.DefaultAlgorithm)
	if err != nil {
		t.Fatal(err)
	}
	local, err := keyring.NewLocalSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer{private: private, key: local.Keys()[0], Signer: local}
}

// anonymously signs without saying with which key.
func (s signer) anonymously(t testing.TB, payload []byte) string {
	t.Helper()
	bare, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.private}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := bare.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func newRing(t testing.TB, signer keyring.Signer, others ...keyring.Key) *keyring.Ring {
	t.Helper()
	ring, err := keyring.NewRing(signer, others...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// desk is an authenticator and everything it depends on.
type desk struct {
	*authn.ServiceAccounts
	signer signer
	ring   *keyring.Ring
	keys   *keyring.Keyring
	// memory and store both hold what is inhabited.
	memory, store *world
}

func newDesk(t testing.TB, adjust ...func(*authn.ServiceAccounts)) *desk {
	t.Helper()
	d := &desk{signer: newSigner(t), memory: inhabited(), store: inhabited()}
	d.ring = newRing(t, d.signer)
	d.keys = keyring.New(d.ring)
	fields := authn.ServiceAccounts{
		Issuers: []string{api, other}, Keys: d.keys,
		Objects: d.memory, Fresh: d.store,
		APIAudiences: authenticator.Audiences{api, "api"},
		Now:          func() time.Time { return now },
	}
	for _, change := range adjust {
		change(&fields)
	}
	d.ServiceAccounts = authn.NewServiceAccounts(fields)
	return d
}

// grant is that of a good token without a bound object.
func grant() token.Grant {
	return token.Grant{
		Issuer: api, ID: "6b3d2f7a-52d1-4c5e-9d0a-6f6d3c1c0b52",
		Namespace: "shop", ServiceAccount: token.Ref{Name: "cart", UID: "cart-uid"},
		Audiences: []string{api}, IssuedAt: now, Lifetime: time.Hour,
	}
}

// bindings are the good ones, by the kind of the object.
func bindings() map[string]token.Binding {
	return map[string]token.Binding{
		"pods":    token.ToPod(token.Ref{Name: "cart-0", UID: "pod-uid"}, &token.Ref{Name: "n1", UID: "node-uid"}),
		"secrets": token.ToSecret(token.Ref{Name: "seal", UID: "seal-uid"}),
		"nodes":   token.ToNode(token.Ref{Name: "n1", UID: "node-uid"}),
	}
}

// claims are those of a good token bound to an object of a kind.
func claimsOf(kind string) token.Claims {
	g := grant()
	g.Bound = bindings()[kind]
	return g.Claims()
}

// sign makes the token of the claims, after they were changed.
func (d *desk) sign(t testing.TB, claims token.Claims, changes ...func(*token.Claims)) string {
	t.Helper()
	for _, change := range changes {
		change(&claims)
	}
	compact, err := d.signer.Sign(t.Context(), encode(t, claims))
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func encode(t testing.TB, claims token.Claims) []byte {
	t.Helper()
	payload, err := claims.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// notOurs is the verdict on a token that another authenticator may know.
const notOurs = "not ours"

// verdict is what the desk says of a token: nothing if it is good.
func (d *desk) verdict(ctx context.Context, compact string) string {
	response, ok, err := d.AuthenticateToken(ctx, compact)
	switch {
	case ok == (response == nil) || ok && err != nil:
		return "contradicts itself"
	case err != nil:
		return err.Error()
	case !ok:
		return notOurs
	}
	return ""
}

// plain is a user as values, to be compared.
func plain(u user.Info) user.Info {
	return &user.DefaultInfo{Name: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: u.GetExtra()}
}

func uidOf(s string) types.UID { return types.UID(s) }
