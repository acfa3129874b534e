// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verifyhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/verify"
	"github.com/muster-identity/muster/verify/verifyhttp"
)

// roll is a verifier that knows tokens by heart.
type roll struct{}

func (roll) Verify(_ context.Context, token string) (*verify.Verdict, error) {
	switch token {
	case "reporter", "stranger":
		return &verify.Verdict{Namespace: "dev", ServiceAccount: verify.Object{Name: token}}, nil
	case "lost":
		return nil, fmt.Errorf("%w: no route to host", verify.ErrUnavailable)
	}
	return nil, fmt.Errorf("%w: at noon", verify.ErrExpired)
}

var errStranger = errors.New("strangers may not")

func guarded(refused func(error)) http.Handler {
	guard := verifyhttp.Guard{
		Verifier: roll{},
		Allow: func(_ *http.Request, v *verify.Verdict) error {
			if v.ServiceAccount.Name != "reporter" {
				return errStranger
			}
			return nil
		},
		Refused: func(_ *http.Request, err error) { refused(err) },
		Realm:   `the "vault"`,
	}
	return guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := verify.FromContext(r.Context())
		fmt.Fprintf(w, "%v %s/%s %q", ok, v.Namespace, v.ServiceAccount.Name, r.Header.Values("Authorization"))
	}))
}

func TestWhoeverShowsAGoodTokenIsKnownToTheHandlerWithoutIt(t *testing.T) {
	t.Parallel()
	handler := guarded(func(err error) { t.Error(err) })
	for _, header := range []string{"Bearer reporter", "bearer reporter", "BEARER  reporter "} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if got, want := w.Body.String(), `true dev/reporter []`; w.Code != http.StatusOK || got != want {
			t.Errorf("%s: status %d, %q, want %q", header, w.Code, got, want)
		}
		if r.Header.Get("Authorization") != header {
			t.Error("the request of those before the guard has changed")
		}
	}
}

func TestWhoeverDoesNotIsTurnedAwayInTheWordsOfTheStandard(t *testing.T) {
	t.Parallel()
	const nothing = `Bearer realm="the \"vault\""`
	for name, test := range map[string]struct {
		headers   []string
		code      int
		challenge string
		why       error
	}{
		"nothing shown":      {nil, 401, nothing, verifyhttp.ErrNoToken},
		"an empty header":    {[]string{""}, 401, nothing, verifyhttp.ErrNoToken},
		"another scheme":     {[]string{"Basic cmVwb3J0ZXI="}, 401, nothing, verifyhttp.ErrNoToken},
		"no token":           {[]string{"Bearer"}, 401, nothing, verifyhttp.ErrNoToken},
		"a blank token":      {[]string{"Bearer  "}, 401, nothing, verifyhttp.ErrNoToken},
		"two headers":        {[]string{"Bearer reporter", "Bearer reporter"}, 400, `Bearer error="invalid_request"`, verifyhttp.ErrBadRequest},
		"two words":          {[]string{"Bearer reporter x"}, 400, `Bearer error="invalid_request"`, verifyhttp.ErrBadRequest},
		"a list":             {[]string{"Bearer reporter,Basic"}, 400, `Bearer error="invalid_request"`, verifyhttp.ErrBadRequest},
		"a bad token":        {[]string{"Bearer old"}, 401, `Bearer error="invalid_token"`, verify.ErrExpired},
		"somebody else":      {[]string{"Bearer stranger"}, 403, `Bearer error="insufficient_scope"`, errStranger},
		"nobody to be asked": {[]string{"Bearer lost"}, 503, "", verify.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var why error
			handler := guarded(func(err error) { why = err })
			r := httptest.NewRequest(http.MethodGet, "/?access_token=reporter", nil)
			r.Header["Authorization"] = test.headers
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.code || w.Header().Get("WWW-Authenticate") != test.challenge {
				t.Errorf("status %d, challenge %s, want %d, %s", w.Code, w.Header().Get("WWW-Authenticate"), test.code, test.challenge)
			}
			if retry := w.Header().Get("Retry-After"); (retry != "") != (test.code == 503) {
				t.Errorf("Retry-After is %q", retry)
			}
			if diff := cmp.Diff(http.StatusText(test.code)+"\n", w.Body.String()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if !errors.Is(why, test.why) {
				t.Errorf("the service hears %v, want %v", why, test.why)
			}
		})
	}
}

func TestAGuardWithoutAVerifierGuardsNothing(t *testing.T) {
	t.Parallel()
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "Guard.Verifier") {
			t.Errorf("it says %q", text)
		}
	}()
	verifyhttp.Guard{}.Wrap(http.NotFoundHandler())
}
