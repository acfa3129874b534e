// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/muster-identity/muster/keyring"
)

// fake is a signer in this process, which does as its fields say.
type fake struct {
	externaljwtv1.UnimplementedExternalJWTSignerServer

	mu       sync.Mutex
	metadata *externaljwtv1.MetadataResponse
	keys     *externaljwtv1.FetchKeysResponse
	keysErr  error
	sign     func(claims string) (*externaljwtv1.SignJWTResponse, error)
	looks    int
}

// newFake has one key, named "first", with which it signs.
func newFake(t testing.TB) (*fake, *ecdsa.PrivateKey) {
	t.Helper()
	private := newKey(t)
	return &fake{
		metadata: &externaljwtv1.MetadataResponse{MaxTokenExpirationSeconds: 7200},
		keys:     keysOf(60, wire(t, "first", private.Public(), false)),
		sign:     honest(t, "first", private),
	}, private
}

// set changes what a fake does while it is at work.
func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fake) looked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks
}

func (f *fake) Sign(_ context.Context, r *externaljwtv1.SignJWTRequest) (*externaljwtv1.SignJWTResponse, error) {
	f.mu.Lock()
	sign := f.sign
	f.mu.Unlock()
	return sign(r.GetClaims())
}

func (f *fake) FetchKeys(context.Context, *externaljwtv1.FetchKeysRequest) (*externaljwtv1.FetchKeysResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	return f.keys, f.keysErr
}

func (f *fake) Metadata(context.Context, *externaljwtv1.MetadataRequest) (*externaljwtv1.MetadataResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.metadata, nil
}

// direct calls a fake without a connection, for tests that own the clock.
type direct struct{ *fake }

func (d direct) Sign(ctx context.Context, r *externaljwtv1.SignJWTRequest, _ ...grpc.CallOption) (*externaljwtv1.SignJWTResponse, error) {
	return d.fake.Sign(ctx, r)
}

func (d direct) FetchKeys(ctx context.Context, r *externaljwtv1.FetchKeysRequest, _ ...grpc.CallOption) (*externaljwtv1.FetchKeysResponse, error) {
	return d.fake.FetchKeys(ctx, r)
}

func (d direct) Metadata(ctx context.Context, r *externaljwtv1.MetadataRequest, _ ...grpc.CallOption) (*externaljwtv1.MetadataResponse, error) {
	return d.fake.Metadata(ctx, r)
}

// started is a Signer over a fake, without a connection.
func started(t testing.TB, f *fake) *Signer {
	t.Helper()
	s := newSigner(direct{f}, &socket{endpoint: "fake"}, newMetrics())
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// listen serves a fake at a socket until the test ends or stop is called.
func listen(t testing.TB, f *fake, endpoint string) (stop func()) {
	t.Helper()
	listener, err := net.Listen("unix", endpoint)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	externaljwtv1.RegisterExternalJWTSignerServer(server, f)
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) }) // ends with stop
	stop = func() {
		server.Stop()
		served.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// connect connects to a fake at a socket of its own.
func connect(t *testing.T, f *fake) *Signer {
	t.Helper()
	endpoint := filepath.Join(t.TempDir(), "s")
	listen(t, f, endpoint)
	return connectTo(t, endpoint)
}

func connectTo(t testing.TB, endpoint string) *Signer {
	t.Helper()
	s, err := Connect(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // of no matter any more
	return s
}

// impatient is for those who wait in vain.
func impatient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func wire(t testing.TB, id string, public crypto.PublicKey, hidden bool) *externaljwtv1.Key {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return &externaljwtv1.Key{KeyId: id, Key: der, ExcludeFromOidcDiscovery: hidden}
}

func keysOf(refresh int64, keys ...*externaljwtv1.Key) *externaljwtv1.FetchKeysResponse {
	return &externaljwtv1.FetchKeysResponse{
		Keys: keys, RefreshHintSeconds: refresh, DataTimestamp: timestamppb.New(time.Unix(1_000_000_000, 0)),
	}
}

// honest signs as it should, naming a key.
func honest(t testing.TB, id string, private *ecdsa.PrivateKey) func(string) (*externaljwtv1.SignJWTResponse, error) {
	return signing(t, `{"alg":"ES256","kid":"`+id+`","typ":"JWT"}`, private)
}

// signing signs for ES256 under any header.
func signing(t testing.TB, header string, private *ecdsa.PrivateKey) func(string) (*externaljwtv1.SignJWTResponse, error) {
	encoded := base64.RawURLEncoding.EncodeToString([]byte(header))
	return func(claims string) (*externaljwtv1.SignJWTResponse, error) {
		return &externaljwtv1.SignJWTResponse{Header: encoded, Signature: es256(t, encoded+"."+claims, private)}, nil
	}
}

// es256 is the signature of what stands before the second dot.
func es256(t testing.TB, input string, private *ecdsa.PrivateKey) string {
	hash := crypto.SHA256.New()
	hash.Write([]byte(input))
	r, s, err := ecdsa.Sign(nil, private, hash.Sum(nil))
	if err != nil {
		t.Error(err)
		return ""
	}
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return base64.RawURLEncoding.EncodeToString(raw)
}

// verifies tells whether the key of a ring that a token names has signed it.
func verifies(ring *keyring.Ring, compact string) bool {
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || strings.Count(compact, ".") != 2 {
		return false
	}
	key, ok := ring.Key(jws.Signatures[0].Protected.KeyID)
	if !ok {
		return false
	}
	_, err = jws.Verify(key.Public)
	return err == nil
}
