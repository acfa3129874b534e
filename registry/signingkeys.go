// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	identityv1 "github.com/muster-identity/muster/identity/v1"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/keyring/rotation"
)

// SigningKeys are the keys whose public side is served. Calls may overlap.
type SigningKeys interface {
	// Editions are the public sides; there is always a current one.
	Editions() *rotation.Editions
	// Rotate publishes the key that signs next, and returns its id. A
	// rotation.Refusal tells why not. A rehearsal changes nothing.
	Rotate(ctx context.Context, rehearsal bool) (id string, err error)
	// Retire takes a key out: when it returns, its tokens are void here. The
	// error is rotation.ErrUnknownKey, a rotation.Refusal or one of the store. A
	// rehearsal changes nothing.
	Retire(ctx context.Context, id string, rehearsal bool) error
}

// signingKeys is the resource by which keys are listed, rotated (create) and
// retired (delete). There is nothing to update.
type signingKeys struct{}

// GroupVersionResource names the resource as it is served.
func (signingKeys) GroupVersionResource() schema.GroupVersionResource {
	return identityv1.SchemeGroupVersion.WithResource("signingkeys")
}

// Namespaced is false: keys sign for all namespaces.
func (signingKeys) Namespaced() bool { return false }

// Stored is false: what is served is made from what is kept elsewhere.
func (signingKeys) Stored() bool { return false }

// Register adds the fields that can be selected by: the metadata alone.
func (signingKeys) Register(scheme *runtime.Scheme) error {
	return scheme.AddFieldLabelConversionFunc(identityv1.SchemeGroupVersion.WithKind("SigningKey"), runtime.DefaultMetaV1FieldSelectorConversion)
}

// Storage makes the REST storage.
func (signingKeys) Storage(env Environment) (map[string]rest.Storage, error) {
	convertor := &tableConvertor[*identityv1.SigningKey]{
		columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Algorithm", "string", "The JWA name of the signatures."),
			column("State", "string", "What the key is used for."),
			column("Since", "string", "How long the key has been in its state."),
			column("Until", "string", "When the key leaves its state."),
		},
		row: signingKeyRow,
	}
	storage := &signingKeyStorage{TableConvertor: convertor, keys: env.Services.SigningKeys}
	return map[string]rest.Storage{"signingkeys": storage}, nil
}

func signingKeyRow(key *identityv1.SigningKey) []any {
	since, until := "<unknown>", "<none>"
	if key.Status.Since != nil {
		since = ago(*key.Status.Since)
	}
	if key.Status.Until != nil {
		until = key.Status.Until.UTC().Format(time.RFC3339)
	}
	return []any{key.Name, key.Spec.Algorithm, string(key.Status.State), since, until}
}

type signingKeyStorage struct {
	rest.TableConvertor
	keys SigningKeys
}

var (
	_ rest.Getter          = (*signingKeyStorage)(nil)
	_ rest.Lister          = (*signingKeyStorage)(nil)
	_ rest.Watcher         = (*signingKeyStorage)(nil)
	_ rest.Creater         = (*signingKeyStorage)(nil)
	_ rest.GracefulDeleter = (*signingKeyStorage)(nil)
)

// New returns an empty key.
func (s *signingKeyStorage) New() runtime.Object { return &identityv1.SigningKey{} }

// NewList returns an empty list.
func (s *signingKeyStorage) NewList() runtime.Object { return &identityv1.SigningKeyList{} }

// Destroy has nothing to do: the keys belong to somebody else.
func (s *signingKeyStorage) Destroy() {}

// NamespaceScoped is false.
func (s *signingKeyStorage) NamespaceScoped() bool { return false }

// GetSingularName is the name that kubectl users may type.
func (s *signingKeyStorage) GetSingularName() string { return "signingkey" }

// Get returns the key of that id.
func (s *signingKeyStorage) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	return s.get(name)
}

func (s *signingKeyStorage) get(name string) (*identityv1.SigningKey, error) {
	edition := s.keys.Editions().Current()
	i := slices.IndexFunc(edition.Keys, func(status rotation.Status) bool { return status.Key.ID == name })
	if i < 0 {
		return nil, apierrors.NewNotFound(identityv1.Resource("signingkeys"), name)
	}
	return signingKeyOf(edition.Keys[i], edition.Revision)
}

// List returns all keys, the one that was published last first.
func (s *signingKeyStorage) List(_ context.Context, options *internalversion.ListOptions) (runtime.Object, error) {
	edition := s.keys.Editions().Current()
	keys, err := signingKeysOf(edition, keySelectionOf(options))
	if err != nil {
		return nil, err
	}
	list := &identityv1.SigningKeyList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatInt(edition.Revision, 10)}, Items: []identityv1.SigningKey{}}
	for _, key := range keys {
		list.Items = append(list.Items, *key)
	}
	return list, nil
}

// Create publishes the key that signs next. The body says nothing: the name of a
// key is its id, and what it is good for is set on the server.
func (s *signingKeyStorage) Create(ctx context.Context, obj runtime.Object, admit rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	wanted, ok := obj.(*identityv1.SigningKey)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a SigningKey: %T", obj))
	}
	if errs := validateNewSigningKey(wanted); len(errs) > 0 {
		return nil, apierrors.NewInvalid(identityv1.SchemeGroupVersion.WithKind("SigningKey").GroupKind(), wanted.Name, errs)
	}
	if admit != nil {
		if err := admit(ctx, wanted.DeepCopy()); err != nil {
			return nil, err
		}
	}
	rehearsal := len(options.DryRun) > 0
	id, err := s.keys.Rotate(ctx, rehearsal)
	if err != nil {
		return nil, signingKeyError("", err)
	}
	if rehearsal {
		return &identityv1.SigningKey{Status: identityv1.SigningKeyStatus{State: identityv1.SigningKeyPublished}}, nil
	}
	return s.get(id)
}

func validateNewSigningKey(key *identityv1.SigningKey) field.ErrorList {
	var errs field.ErrorList
	if key.Name != "" {
		errs = append(errs, field.Forbidden(field.NewPath("metadata", "name"), "the name of a signing key is its id, which follows from the key: leave it out"))
	}
	if key.Spec != (identityv1.SigningKeySpec{}) {
		errs = append(errs, field.Forbidden(field.NewPath("spec"), "the server makes the key: leave it out"))
	}
	return errs
}

// Delete retires a key.
func (s *signingKeyStorage) Delete(ctx context.Context, name string, admit rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	key, err := s.get(name)
	if err != nil {
		return nil, false, err
	}
	if err := checkPreconditions(key, options.Preconditions); err != nil {
		return nil, false, err
	}
	if admit != nil {
		if err := admit(ctx, key); err != nil {
			return nil, false, err
		}
	}
	if err := s.keys.Retire(ctx, name, len(options.DryRun) > 0); err != nil {
		return nil, false, signingKeyError(name, err)
	}
	return key, true, nil
}

// checkPreconditions holds what the caller knows of a key against the key.
func checkPreconditions(key *identityv1.SigningKey, p *metav1.Preconditions) error {
	if p == nil {
		return nil
	}
	conflict := func(what, wanted, has string) error {
		//lint:ignore ST1005 the words are those of k8s.io/apiserver/pkg/storage
		return apierrors.NewConflict(identityv1.Resource("signingkeys"), key.Name, fmt.Errorf("Precondition failed: %s in precondition: %s, %s in object meta: %s", what, wanted, what, has))
	}
	if p.UID != nil && *p.UID != key.UID {
		return conflict("UID", string(*p.UID), string(key.UID))
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != key.ResourceVersion {
		return conflict("ResourceVersion", *p.ResourceVersion, key.ResourceVersion)
	}
	return nil
}

func signingKeyError(id string, err error) error {
	var refusal *rotation.Refusal
	switch {
	case errors.Is(err, rotation.ErrUnknownKey):
		return apierrors.NewNotFound(identityv1.Resource("signingkeys"), id)
	case errors.As(err, &refusal):
		conflict := apierrors.NewConflict(identityv1.Resource("signingkeys"), id, refusal)
		if id == "" { // there is no key to name
			conflict.ErrStatus.Message = "signingkeys.identity.muster.id cannot be rotated: " + refusal.Reason
		}
		return conflict
	}
	return err
}

// keySelection is which keys a caller wants to see.
type keySelection struct {
	labels labels.Selector
	fields fields.Selector
}

func keySelectionOf(options *internalversion.ListOptions) keySelection {
	chosen := keySelection{labels.Everything(), fields.Everything()}
	if options != nil && options.LabelSelector != nil {
		chosen.labels = options.LabelSelector
	}
	if options != nil && options.FieldSelector != nil {
		chosen.fields = options.FieldSelector
	}
	return chosen
}

func (s keySelection) matches(key *identityv1.SigningKey) bool {
	return s.labels.Matches(labels.Set(key.Labels)) && s.fields.Matches(fields.Set{"metadata.name": key.Name})
}

// signingKeysOf are the keys of an edition, of those that are wanted.
func signingKeysOf(edition *rotation.Edition, wanted keySelection) ([]*identityv1.SigningKey, error) {
	var all []*identityv1.SigningKey
	for _, status := range edition.Keys {
		key, err := signingKeyOf(status, edition.Revision)
		if err != nil {
			return nil, err
		}
		if wanted.matches(key) {
			all = append(all, key)
		}
	}
	return all, nil
}

// signingKeyOf is what the API shows of a key.
func signingKeyOf(status rotation.Status, revision int64) (*identityv1.SigningKey, error) {
	public, err := keyring.EncodePublic(status.Key)
	if err != nil {
		return nil, err
	}
	key := &identityv1.SigningKey{
		ObjectMeta: metav1.ObjectMeta{
			Name:            status.Key.ID,
			UID:             types.UID(uuid.NewSHA1(uuid.Nil, []byte(status.Key.ID)).String()), // the same on all replicas
			ResourceVersion: strconv.FormatInt(revision, 10),
		},
		Spec:   identityv1.SigningKeySpec{KeyID: status.Key.ID, Algorithm: string(status.Key.Algorithm), PublicKey: string(public)},
		Status: identityv1.SigningKeyStatus{State: identityv1.SigningKeyState(status.State), Since: timestamp(status.Since), Until: timestamp(status.Until)},
	}
	if !status.PublishedAt.IsZero() {
		key.CreationTimestamp = metav1.NewTime(status.PublishedAt)
	}
	return key, nil
}

func timestamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t}
}
