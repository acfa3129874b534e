// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/verify"
)

const ownToken = "the-token-of-this-service"

// reviewing is a verifier of an API server that answers as it is told, and the
// requests that it was asked.
func reviewing(t *testing.T, answer func(w http.ResponseWriter, token string)) verify.Verifier {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			APIVersion, Kind string
			Spec             struct {
				Token     string
				Audiences []string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		asked := []string{r.Method, r.URL.Path, r.Header.Get("Authorization"), body.APIVersion, body.Kind, strings.Join(body.Spec.Audiences, " ")}
		want := []string{"POST", "/apis/authentication.k8s.io/v1/tokenreviews", "Bearer " + ownToken, "authentication.k8s.io/v1", "TokenReview", vault + " vault"}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("what is asked (-want +got):\n%s", diff)
		}
		answer(w, body.Spec.Token)
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(ownToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := verify.TokenReview(verify.TokenReviewOptions{
		Audiences: []string{vault, "vault"},
		Server:    &verify.APIServer{URL: server.URL + "/", TokenFile: file, Client: server.Client()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// saying answers with a review of this status.
func saying(status string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, _ string) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":%s}`, status)
	}
}

func TestAReviewTellsWhoHoldsAToken(t *testing.T) {
	t.Parallel()
	v := reviewing(t, saying(`{"authenticated":true,"audiences":["`+vault+`","x"],"user":{
		"username":"system:serviceaccount:dev:reporter","uid":"u-account",
		"groups":["system:serviceaccounts","system:serviceaccounts:dev","system:authenticated"],
		"extra":{"authentication.kubernetes.io/credential-id":["JTI=7c1f"],
		"authentication.kubernetes.io/pod-name":["reporter-1"],"authentication.kubernetes.io/pod-uid":["u-pod"],
		"authentication.kubernetes.io/node-name":["n1"],"authentication.kubernetes.io/node-uid":["u-node"]}}}`))
	got, err := v.Verify(t.Context(), good(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goodVerdict(), got, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}

func TestAReviewThatSaysNoTellsWhy(t *testing.T) {
	t.Parallel()
	const yes = `"authenticated":true,"audiences":["` + vault + `"]`
	const account = `"user":{"username":"system:serviceaccount:dev:reporter","uid":"u"}`
	no := func(text string) string { return `{"user":{},"error":"[invalid bearer token, ` + text + `]"}` }
	for status, want := range map[string]verify.Reason{
		`{}`: verify.ErrInvalid,
		`{"user":{},"error":"invalid bearer token"}`:                              verify.ErrInvalid,
		no("service account token has expired"):                                   verify.ErrExpired,
		no("service account token is not valid yet"):                              verify.ErrNotValidYet,
		no("service account token is issued in the future"):                       verify.ErrNotValidYet,
		no(`token audiences [\"a\"] is invalid for the target audiences [\"b\"]`): verify.ErrAudience,
		no("invalid signature, no keys found"):                                    verify.ErrUnknownKey,
		no("go-jose/go-jose: error in cryptographic primitive"):                   verify.ErrSignature,
		no("service account token has been invalidated"):                          verify.ErrRevoked,
		no("service account dev/reporter has been deleted"):                       verify.ErrRevoked,
		no(`serviceaccounts \"reporter\" not found`):                              verify.ErrRevoked,
		no("pod UID (a) does not match service account pod ref claim (b)"):        verify.ErrRevoked,
		no("etcd is on fire"):                                                     verify.ErrInvalid,
		`{` + yes + `,` + account + `,"error":"but"}`:                             verify.ErrInvalid,
		`{"authenticated":true,` + account + `}`:                                  verify.ErrAudience,
		`{"authenticated":true,"audiences":["x"],` + account + `}`:                verify.ErrAudience,
		`{` + yes + `}`: verify.ErrSubject,
		`{` + yes + `,"user":{"username":"jane","uid":"7"}}`:                          verify.ErrSubject,
		`{` + yes + `,"user":{"username":"system:serviceaccount:dev:a:b","uid":"7"}}`: verify.ErrSubject,
		`{` + yes + `,"user":{"username":"system:serviceaccount:dev:reporter"}}`:      verify.ErrSubject,
	} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, reviewing(t, saying(status)), good(t), want)
		})
	}
}

func TestWhatIsNoServiceAccountTokenIsRefusedWithoutAsking(t *testing.T) {
	t.Parallel()
	v := reviewing(t, func(http.ResponseWriter, string) { t.Error("the server was asked") })
	for _, token := range []string{"", "abcdef.0123456789abcdef", good(t) + "\r\nX: y", strings.Repeat("x", 1<<20)} {
		wantRefusal(t, v, token, verify.ErrMalformed)
	}
}

func TestAServerThatCannotAnswerIsNotTakenForANo(t *testing.T) {
	t.Parallel()
	status := func(code int, message string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, token string) {
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind":"Status","message":%q}`, message+" "+token+" "+ownToken)
		}
	}
	raw := func(body string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, _ string) { fmt.Fprint(w, body) }
	}
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, string)
		code   int
	}{
		"the service may not ask": {status(http.StatusForbidden, `User "system:serviceaccount:dev:vault" cannot create`), http.StatusForbidden},
		"the service is unknown":  {status(http.StatusUnauthorized, "Unauthorized"), http.StatusUnauthorized},
		"it is overloaded":        {status(http.StatusTooManyRequests, "later"), http.StatusTooManyRequests},
		"it is broken":            {status(http.StatusInternalServerError, "no"), http.StatusInternalServerError},
		"it leads elsewhere": {func(w http.ResponseWriter, _ string) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, http.StatusTemporaryRedirect},
		"it talks HTML":            {raw("<html>"), 0},
		"it talks of other things": {raw(`{"apiVersion":"v1","kind":"Pod","status":{"authenticated":true}}`), 0},
		"it talks on and on":       {raw(`{"kind":"` + strings.Repeat("x", 1<<20)), 0},
		"it goes away":             {func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := good(t)
			got, err := reviewing(t, test.answer).Verify(t.Context(), token)
			if got != nil || !errors.Is(err, verify.ErrUnavailable) || errors.Is(err, verify.ErrInvalid) {
				t.Fatalf("verdict %v, error %v, want ErrUnavailable", got, err)
			}
			wantNoPart(t, err.Error(), token)
			wantNoPart(t, err.Error(), ownToken)
			var code int
			if answered := (*verify.StatusError)(nil); errors.As(err, &answered) {
				code = answered.Code
				wantNoPart(t, answered.Message, token)
			}
			if code != test.code {
				t.Errorf("error %v has status %d, want %d", err, code, test.code)
			}
		})
	}
}

func TestWordsThatComeWithARefusalHoldNoTokenAndStayInTheirLine(t *testing.T) {
	t.Parallel()
	v := reviewing(t, func(w http.ResponseWriter, token string) {
		saying(fmt.Sprintf(`{"error":%q}`, "no: "+token+"\n"+strings.Repeat("x", 10_000)))(w, token)
	})
	_, err := v.Verify(t.Context(), good(t))
	if err == nil || strings.ContainsAny(err.Error(), "\n") || len(err.Error()) > 1000 {
		t.Errorf("error %.2000v", err)
	}
	wantRefusal(t, v, good(t), verify.ErrInvalid)
}

func TestAReviewerNeedsAudienceAndServer(t *testing.T) {
	t.Parallel()
	server := &verify.APIServer{URL: "https://10.0.0.1"}
	for want, o := range map[string]verify.TokenReviewOptions{
		"option Audiences":                   {Server: server},
		"option Audiences must not":          {Server: server, Audiences: []string{""}},
		"option Server must be set":          {Audiences: []string{vault}},
		"option Server.URL must be set":      {Audiences: []string{vault}, Server: &verify.APIServer{}},
		"options Server.CAFile and Server.C": {Audiences: []string{vault}, Server: &verify.APIServer{URL: server.URL, CAFile: "x", Client: &http.Client{}}},
	} {
		if v, err := verify.TokenReview(o); v != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("verifier %v, error %v, want %q", v, err, want)
		}
	}
}
