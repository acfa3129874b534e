// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package external

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/keyring/signertest"
)

func TestExternalSignersSignAsSignersDo(t *testing.T) {
	t.Parallel()
	signertest.Run(t, func(t *testing.T) keyring.Signer {
		f, private := newFake(t)
		hidden := wire(t, "old", newKey(t).Public(), true)
		f.keys = keysOf(60, hidden, wire(t, "first", private.Public(), false))
		return connect(t, f).Ring()
	})
}

func TestAnAbstractSocketIsReachedByItsName(t *testing.T) {
	t.Parallel()
	f, _ := newFake(t)
	endpoint := fmt.Sprintf("@muster-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	listen(t, f, endpoint)
	s := connectTo(t, endpoint)
	if _, err := s.Sign(t.Context(), []byte(`{}`)); err != nil {
		t.Error(err)
	}
	if got := s.MaxExpiration(); got != 2*time.Hour {
		t.Errorf("the longest expiration is %s", got)
	}
}

func TestASignerThatIsNotThereIsNamedInOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := filepath.Join(dir, "left")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false) // as after a kill
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for endpoint, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file or directory",
		left:                       "connection refused",
		strings.Repeat("x", 200):   "invalid argument",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s, err := Connect(impatient(t), endpoint)
			want := fmt.Sprintf("the signer at %q does not answer: %s", endpoint, want)
			if s != nil || err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestWhatIsNoSignerIsNamedInOneLine(t *testing.T) {
	t.Parallel()
	endpoint := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			_, _ = connection.Write([]byte("220 mail.example\r\n")) // to whom it may concern
			_ = connection.Close()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close() // nothing depends on it any more
		served.Wait()
	})
	s, err := Connect(impatient(t), endpoint)
	if s != nil || err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("the signer at %q: FetchKeys: ", endpoint)) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

// badKeys are answers to FetchKeys that nobody can rely on.
func badKeys(t *testing.T) map[string]struct {
	answer *externaljwtv1.FetchKeysResponse
	want   string
} {
	t.Helper()
	good := wire(t, "good", newKey(t).Public(), false)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	odd := func(id string, public crypto.PublicKey) *externaljwtv1.FetchKeysResponse {
		return keysOf(60, good, wire(t, id, public, false))
	}
	untimed, early := keysOf(60, good), keysOf(60, good)
	untimed.DataTimestamp = nil
	early.DataTimestamp = &timestamppb.Timestamp{Seconds: math.MinInt64}
	return map[string]struct {
		answer *externaljwtv1.FetchKeysResponse
		want   string
	}{
		"no hint":          {keysOf(0, good), "found invalid refresh hint (0s)"},
		"a hint back":      {keysOf(-1, good), "found invalid refresh hint (-1s)"},
		"no keys":          {keysOf(60), "found no keys"},
		"no time":          {untimed, "invalid data timestamp"},
		"a time before":    {early, "invalid data timestamp"},
		"no id":            {odd("", newKey(t).Public()), `key 2: found invalid public key id "" of 0 bytes`},
		"a long id":        {odd(strings.Repeat("x", 1025), newKey(t).Public()), "of 1025 bytes: it must have 1 to 1024"},
		"no key":           {keysOf(60, &externaljwtv1.Key{KeyId: "none"}), `key 1: id "none" is no PKIX public key`},
		"a damaged key":    {keysOf(60, &externaljwtv1.Key{KeyId: "bad", Key: []byte("key")}), `key 1: id "bad" is no PKIX public key`},
		"a short RSA key":  {odd("short", &short.PublicKey), `key 2: id "short": an RSA key of 1024 bits is too short`},
		"a narrow EC key":  {odd("narrow", narrow.Public()), `key 2: id "narrow": an EC key on this curve cannot sign tokens`},
		"an Edwards key":   {odd("edwards", edwards), `key 2: id "edwards": a key of type ed25519.PublicKey cannot sign tokens`},
		"two of one id":    {odd("good", newKey(t).Public()), `two different keys have the id "good"`},
		"an empty message": {&externaljwtv1.FetchKeysResponse{}, "found invalid refresh hint (0s)"},
	}
}

func TestKeysThatCannotBeReliedOnAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range badKeys(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := newFake(t)
			s := started(t, f)
			ring := s.Ring()
			f.set(func(f *fake) { f.keys = test.answer })
			changed, err := s.look(t.Context())
			if changed || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if s.Ring() != ring {
				t.Error("the keys known did not stay")
			}
			fresh := newSigner(direct{f}, &socket{endpoint: "fake"}, newMetrics())
			if err := fresh.start(t.Context()); err == nil {
				t.Error("a server starts with them")
			}
		})
	}
}

func TestASignerOfShortLivesIsRefused(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[int64]string{
		0:             "max token life supported by external-jwt-signer (0s) is less than acceptable (min 600s)",
		599:           "max token life supported by external-jwt-signer (599s) is less than acceptable (min 600s)",
		math.MinInt64: "is less than acceptable (min 600s)",
	} {
		f, _ := newFake(t)
		f.metadata.MaxTokenExpirationSeconds = seconds
		s := newSigner(direct{f}, &socket{endpoint: "fake"}, newMetrics())
		if err := s.start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: got %v, want %s", seconds, err, want)
		}
	}
}

func TestHugeNumbersOfASignerMeanTheLongestThereIs(t *testing.T) {
	t.Parallel()
	f, private := newFake(t)
	f.metadata.MaxTokenExpirationSeconds = math.MaxInt64
	f.keys = keysOf(math.MaxInt64, wire(t, "first", private.Public(), false))
	s := started(t, f)
	if got := s.MaxExpiration(); got != maxExpiration {
		t.Errorf("the longest expiration is %s", got)
	}
	if got := s.MaxAge().Round(time.Minute); got != maxRefreshHint {
		t.Errorf("the keys may be kept for %s", got)
	}
}

func TestIDsAndVisibilityOfKeysAreTheSigners(t *testing.T) {
	t.Parallel()
	set, err := readKeys(keysOf(30, wire(t, "a/b", newKey(t).Public(), false), wire(t, strings.Repeat("x", 1024), newKey(t).Public(), true)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, key := range set.keys {
		got = append(got, fmt.Sprintf("%.3s %s %v", key.ID, key.Algorithm, key.Unpublished))
	}
	if diff := cmp.Diff([]string{"a/b ES256 false", "xxx ES256 true"}, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if set.refresh != 30*time.Second || set.at.Unix() != 1_000_000_000 {
		t.Errorf("refresh %s, at %s", set.refresh, set.at)
	}
}
