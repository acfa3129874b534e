// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/muster-identity/muster/authn"
	identityv1 "github.com/muster-identity/muster/identity/v1"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

// ledger is the truth of a fuzzed world: objects by resource, namespace and name.
type ledger map[string]runtime.Object

func (l ledger) Get(_ context.Context, resource schema.GroupResource, namespace, name string) (runtime.Object, error) {
	object, ok := l[resource.Resource+"/"+namespace+"/"+name]
	if !ok {
		return nil, apierrors.NewNotFound(resource, name)
	}
	return object.DeepCopyObject(), nil
}

// fuzzDesk is a desk with a live view, and with a key that is the same each
// time, so that tokens can be seeds.
type fuzzDesk struct {
	*desk
	view     *live.View
	truth    ledger
	revision int
	// alive are the UIDs of what exists and is not deleted.
	alive map[string]string
}

// write makes an object exist; one that is not alive is being deleted already.
func (d *fuzzDesk) write(resource string, object metav1.Object, alive bool) {
	d.revision++
	object.SetResourceVersion(strconv.Itoa(d.revision))
	if !alive {
		object.SetDeletionTimestamp(&metav1.Time{Time: now.Add(-time.Second)})
	}
	key := resource + "/" + object.GetNamespace() + "/" + object.GetName()
	d.truth[key] = object.(runtime.Object)
	if alive {
		d.alive[key] = string(object.GetUID())
	}
	d.view.Commit(schema.GroupResource{Resource: resource}, object.(runtime.Object), false)
}

func inShop(name, uid string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: uidOf(uid)}
}

func newFuzzDesk(t testing.TB) *fuzzDesk {
	t.Helper()
	d := &fuzzDesk{truth: ledger{}, alive: map[string]string{}}
	d.view = live.New(d.truth, nil)
	d.write("serviceaccounts", &corev1.ServiceAccount{ObjectMeta: inShop("cart", "cart-uid")}, true)
	d.write("serviceaccounts", &corev1.ServiceAccount{ObjectMeta: inShop("struck", "struck-uid")}, true)
	d.write("serviceaccounts", &corev1.ServiceAccount{ObjectMeta: inShop("leaving", "leaving-uid")}, false)
	d.write("pods", &corev1.Pod{ObjectMeta: inShop("cart-0", "pod-uid")}, true)
	d.write("pods", &corev1.Pod{ObjectMeta: inShop("cart-1", "leaving-uid")}, false)
	d.write("nodes", &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "node-uid"}}, true)

	d.write("secrets", &corev1.Secret{ObjectMeta: inShop("seal", "seal-uid")}, true)

	struck := newRevocations(t)
	struck.write("token", identityv1.TokenRevocationSpec{Token: &identityv1.RevokedToken{Issuer: api, JTI: "struck"}}, false)
	struck.write("account", identityv1.TokenRevocationSpec{ServiceAccount: &identityv1.RevokedServiceAccount{
		Namespace: "shop", Name: "struck", IssuedBefore: &metav1.Time{Time: now.Add(time.Hour)},
	}}, false)
	struck.write("node", identityv1.TokenRevocationSpec{Node: &identityv1.RevokedNode{Name: "struck"}}, false)

	d.desk = newDesk(t, func(s *authn.ServiceAccounts) {
		s.Objects, s.Fresh, s.Revocations = d.view, live.Fresh{View: d.view}, struck.view.Revocations()
	})
	d.signer = sameSigner(t)
	d.ring = newRing(t, d.signer)
	d.keys.Replace(d.ring)
	return d
}

// sameSigner has the same key each time.
func sameSigner(t testing.TB) signer {
	t.Helper()
	scalar := sha256.Sum256([]byte("the key of FuzzAuthenticateToken"))
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
	if err != nil {
		t.Fatal(err)
	}
	local, err := keyring.NewLocalSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer{private: private, key: local.Keys()[0], Signer: local}
}

// How a fuzzed text becomes a token.
const (
	asItIs = iota
	signedByName
	signedNamelessly
	signedAndKept // in the secret seal
	ways
)

// tokenOf makes the token, and tells whether our key signs it.
func (d *fuzzDesk) tokenOf(t *testing.T, text []byte, way byte) (compact string, kept bool) {
	t.Helper()
	if way == signedNamelessly {
		return d.signer.anonymously(t, text), false
	}
	if way == asItIs {
		return string(text), false
	}
	compact, err := d.signer.Sign(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if way == signedAndKept {
		d.write("secrets", &corev1.Secret{
			ObjectMeta: inShop("seal", "seal-uid"), Type: corev1.SecretTypeServiceAccountToken,
			Data: map[string][]byte{corev1.ServiceAccountTokenKey: []byte(compact)},
		}, true)
	}
	return compact, way == signedAndKept
}

// meets tells in other words than authn's whether the claims of a token are
// those of somebody who is there.
func (d *fuzzDesk) meets(c *token.Claims, kept bool) bool {
	k := c.Kubernetes
	is := func(resource, namespace string, ref *token.Ref) bool {
		uid, ok := d.alive[resource+"/"+namespace+"/"+ref.Name]
		return ok && uid == ref.UID
	}
	if !is("serviceaccounts", k.Namespace, &k.ServiceAccount) || k.ServiceAccount.Name == "struck" {
		return false
	}
	if len(c.Audience) > 0 && !slices.Contains(c.Audience, api) && !slices.Contains(c.Audience, "api") {
		return false
	}
	if c.Issuer == token.LegacyIssuer {
		return kept && k.Secret != nil && k.Secret.Name == "seal" && c.Subject == "system:serviceaccount:shop:cart"
	}
	seconds := now.Unix()
	switch {
	case c.Expiry+60 <= seconds, c.NotBefore > seconds+60, c.IssuedAt > seconds+60:
		return false
	case k.Pod != nil && !is("pods", k.Namespace, k.Pod), k.Secret != nil && !is("secrets", k.Namespace, k.Secret):
		return false
	case k.Pod == nil && k.Node != nil && !is("nodes", "", k.Node), k.Node != nil && k.Node.Name == "struck":
		return false
	case c.Issuer == api && c.ID == "struck":
		return false
	}
	return k.ValidatingWebhookConfiguration == nil && k.MutatingWebhookConfiguration == nil
}

// claimsOfPayload are what a signed payload says, or nil if it is none of ours,
// and an error if it ought to be and is malformed.
func claimsOfPayload(payload []byte) (*token.Claims, error) {
	var said map[string]any
	if json.Unmarshal(payload, &said) != nil {
		return nil, nil
	}
	switch said["iss"] {
	case token.LegacyIssuer:
		return token.DecodeLegacy(payload)
	case api, other:
		return token.Decode(payload)
	}
	return nil, nil
}

// FuzzAuthenticateToken holds what is accepted, whatever is sent, to what the
// token says and what exists; the check of a token that was seen before, and its
// explanation, have to agree.
func FuzzAuthenticateToken(f *testing.F) {
	d := newFuzzDesk(f)
	for kind := range bindings() {
		f.Add(encode(f, claimsOf(kind)), byte(signedByName))
		if refused := d.verdict(f.Context(), d.sign(f, claimsOf(kind))); refused != "" {
			f.Fatalf("a token bound to %s is refused, and so would all be: %s", kind, refused)
		}
	}
	f.Add([]byte(d.sign(f, claimsOf("pods"))), byte(asItIs))
	f.Add(encode(f, claimsOf("pods")), byte(signedNamelessly))
	legacy, err := legacyClaims().EncodeLegacy()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(legacy, byte(signedAndKept))
	f.Add(legacy, byte(signedByName))
	f.Fuzz(func(t *testing.T, text []byte, way byte) {
		way %= ways
		compact, kept := d.tokenOf(t, text, way)
		verdict := d.verdict(t.Context(), compact)
		if way != asItIs {
			d.holdsVerdict(t, text, kept, verdict)
		} else if verdict == "" && !d.signedOnce(compact) {
			t.Error("a token that nobody signed is accepted")
		}
		d.holdsOthers(t, compact, verdict)
	})
}

// signedOnce tells whether a token is, but for the number that ECDSA draws, one
// that the key has signed to be a seed.
func (d *fuzzDesk) signedOnce(compact string) bool {
	_, _, ok := strings.Cut(compact, ".")
	u, err := token.Parse(compact)
	if !ok || err != nil {
		return false
	}
	c, err := u.Claims()
	return err == nil && cmp.Equal(*c, claimsOf("pods"))
}

// holdsVerdict holds the verdict on a payload that our key signed to the payload.
func (d *fuzzDesk) holdsVerdict(t *testing.T, payload []byte, kept bool, verdict string) {
	t.Helper()
	c, err := claimsOfPayload(payload)
	good := err == nil && c != nil && d.meets(c, kept)
	if (verdict == "") != good {
		t.Errorf("the verdict is %q, and the token is good: %v", verdict, good)
	}
}

// holdsOthers holds the other ways of asking to the verdict.
func (d *fuzzDesk) holdsOthers(t *testing.T, compact, verdict string) {
	t.Helper()
	response, _, err := d.AuthenticateToken(t.Context(), compact)
	if refusal := (*authn.Refusal)(nil); err != nil && !errors.As(err, &refusal) {
		known := errors.Is(err, token.ErrSignature) || errors.Is(err, token.ErrNoKeys) || err.Error() == malformed
		if _, explained := d.Explain(t.Context(), compact); !known || !explained {
			t.Errorf("an error of another kind, explained: %v: %v", explained, err)
		}
		return
	}
	explanation, ours := d.Explain(t.Context(), compact)
	if ours != (verdict != notOurs) || ours && failed(explanation) != (verdict != "") {
		t.Errorf("the verdict is %q, and the explanation %s", verdict, explanation)
	}
	holder, seen, err := d.CheckSeen(t.Context(), compact, authenticator.Audiences{api, "api"})
	if !seen {
		if response != nil && len(compact) <= 4096 && response.User.GetExtra() != nil {
			t.Error("a good token is not known the second time")
		}
		return
	}
	if err != nil && err.Error() != verdict || err == nil && verdict != "" {
		t.Errorf("seen before, the verdict is %v; it was %q", err, verdict)
	}
	if err == nil {
		if diff := cmp.Diff(plain(response.User), plain(holder.User)); diff != "" {
			t.Errorf("seen before, its holder is another (-first +second):\n%s", diff)
		}
	}
}

func failed(e authn.Explanation) bool {
	return slices.ContainsFunc(e.Steps, func(s authn.Step) bool { return s.Result == authn.Failed })
}
