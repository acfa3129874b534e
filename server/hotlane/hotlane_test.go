// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/muster-identity/muster/server/hotlane"
)

// storage is there, and never asked.
type storage struct{ rest.Storage }

func (storage) Create(context.Context, runtime.Object, rest.ValidateObjectFunc, *metav1.CreateOptions) (runtime.Object, error) {
	panic("asked without a question")
}

func TestABodyThatDoesNotComeKeepsNobodyOutOfTheLane(t *testing.T) {
	t.Parallel()
	left := make(chan error, 1)
	lane := hotlane.New(hotlane.Config{
		General: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			left <- err
		}),
		Callers: hotlane.Callers{Seen: func(context.Context, string) (hotlane.Caller, bool) {
			return hotlane.Caller{Response: &authenticator.Response{User: &user.DefaultInfo{Name: "slow"}}}, true
		}},
		Storage:  map[string]rest.Storage{"tokenreviews": storage{}},
		InFlight: 1,
		Enter:    func() error { return nil }, Leave: func() {},
		Patience: 10 * time.Millisecond, Now: time.Now,
	})
	server := httptest.NewServer(lane)
	t.Cleanup(server.Close)
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	const head = "POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n" +
		"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
	if _, err := io.WriteString(connection, head); err != nil {
		t.Fatal(err)
	}
	if err := <-left; err == nil {
		t.Error("the general path has read a body that never came")
	}
}
