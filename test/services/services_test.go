// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/server"
	"github.com/muster-identity/muster/verify"
)

// A reporter calls vaults with a token of its pod. One vault asks the API server
// about each token, one checks the signature; a third, in Node.js, does as the
// second. Each turns away what the page says it does, when it says so.
func TestACallerIsTurnedAwayForTheWrongAudienceAnExpiredTokenAndADeletedPod(t *testing.T) {
	t.Parallel()
	s := sail(t)
	reporter := build(t, "reporter")
	vaults := map[string]*program{"TokenReview": s.vault(t), "OIDC": s.vault(t, "-issuer", server.DefaultIssuer)}
	if node := s.nodeVault(t); node != nil {
		vaults["Node.js"] = node
	}

	pod := s.pod(t, "reporter")
	fitting := s.token(t, "reporter", pod, audience)
	expired := s.signAgain(t, fitting, func(claims map[string]any) {
		ago := time.Now().Add(-time.Hour).Unix()
		claims["iat"], claims["nbf"], claims["exp"] = ago, ago, ago+600
	})
	stories := []struct {
		what, token string
		want        map[string]string // by vault; "" is all that have no entry
	}{
		{"a token for the vault", fitting, map[string]string{"": "may know: the ship sails at dawn"}},
		{"a token for the API server", s.token(t, "reporter", pod), map[string]string{"": "401"}},
		{"a token for another service", s.token(t, "reporter", pod, "https://bank.example"), map[string]string{"": "401"}},
		{"a token whose time is over", expired, map[string]string{"": "401"}},
		{"another account", s.token(t, "stranger", s.pod(t, "stranger"), audience), map[string]string{"": "403"}},
		{"a token of a pod that has just been deleted", fitting, map[string]string{"TokenReview": "401", "": "may know"}},
	}
	for i, story := range stories {
		if i == len(stories)-1 {
			s.remove(t, pod)
		}
		for name, vault := range vaults {
			want, ok := story.want[name]
			if !ok {
				want = story.want[""]
			}
			if got := ask(t, reporter, vault.url, story.token); !strings.Contains(got, want) {
				t.Errorf("%s, vault by %s: the reporter hears %q, want %q", story.what, name, got, want)
			}
		}
	}

	reasons := []verify.Reason{verify.ErrAudience, verify.ErrExpired}
	vaults["TokenReview"].wantLog(t, append(reasons, verify.ErrRevoked), fitting, expired)
	vaults["OIDC"].wantLog(t, reasons, fitting, expired)
	if node := vaults["Node.js"]; node != nil {
		node.wantLog(t, nil, fitting, expired)
	}
}

// The vault that checks signatures accepts the token of a deleted pod until it
// ends, which a clock that is ten minutes ahead shows.
func TestTheTokenOfADeletedPodEndsForAnOfflineVaultWhenItExpires(t *testing.T) {
	t.Parallel()
	s := sail(t)
	pod := s.pod(t, "reporter")
	token := s.token(t, "reporter", pod, audience)
	s.remove(t, pod)
	var ends time.Time
	for _, ahead := range []time.Duration{0, 30 * time.Second, 90 * time.Second} {
		v, err := verify.OIDC(verify.OIDCOptions{
			Issuer: server.DefaultIssuer, Audiences: []string{audience}, Server: s.apiServer(t, "vault"),
			Now: func() time.Time {
				if ends.IsZero() {
					return time.Now()
				}
				return ends.Add(ahead)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		verdict, err := v.Verify(t.Context(), token)
		switch {
		case ahead > time.Minute && !errors.Is(err, verify.ErrExpired):
			t.Errorf("%s after its end: got error %v, want ErrExpired", ahead, err)
		case ahead <= time.Minute && err != nil:
			t.Errorf("before its end, give or take %s: %v", ahead, err)
		case ahead == 0:
			ends = verdict.Expires
			if got, want := verdict.Pod, (verify.Object{Name: pod.Name, UID: string(pod.UID)}); got != want {
				t.Errorf("the pod is %v, want %v", got, want)
			}
		}
	}
}

// Both ways tell the same of one token.
func TestBothVerifiersComeToOneVerdict(t *testing.T) {
	t.Parallel()
	s := sail(t)
	token := s.token(t, "reporter", s.pod(t, "reporter"), audience, "https://bank.example")
	api := s.apiServer(t, "vault")
	review, err := verify.TokenReview(verify.TokenReviewOptions{Audiences: []string{audience, "x"}, Server: api})
	if err != nil {
		t.Fatal(err)
	}
	oidc, err := verify.OIDC(verify.OIDCOptions{Issuer: server.DefaultIssuer, Audiences: []string{audience, "x"}, Server: api})
	if err != nil {
		t.Fatal(err)
	}
	var told [2]string
	for i, v := range []verify.Verifier{review, oidc} {
		verdict, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(verdict)
		if err != nil {
			t.Fatal(err)
		}
		told[i] = string(encoded)
	}
	if told[0] != told[1] || !strings.Contains(told[0], `"Node":{"name":"n1","uid":"`) {
		t.Errorf("TokenReview tells\n%s\nand OIDC\n%s", told[0], told[1])
	}
	// The right to review is what TokenReview takes.
	unentitled, err := verify.TokenReview(verify.TokenReviewOptions{Audiences: []string{audience}, Server: s.apiServer(t, "stranger")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = unentitled.Verify(t.Context(), token)
	if status := (*verify.StatusError)(nil); !errors.Is(err, verify.ErrUnavailable) || !errors.As(err, &status) || status.Code != 403 {
		t.Errorf("without the right: got error %v, want a 403", err)
	}
}

// ask runs the reporter with a token, and returns all that it prints.
func ask(t *testing.T, reporter, url, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), reporter, "-token-file", file, url).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

func (s *ship) remove(t *testing.T, pod *metav1.ObjectMeta) {
	t.Helper()
	if err := s.Client().CoreV1().Pods("dev").Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(0)); err != nil {
		t.Fatal(err)
	}
}
