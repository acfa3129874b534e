// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verifygrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/muster-identity/muster/verify"
	"github.com/muster-identity/muster/verify/verifygrpc"
)

// roll is a verifier that knows tokens by heart.
type roll struct{}

func (roll) Verify(_ context.Context, token string) (*verify.Verdict, error) {
	switch token {
	case "reporter", "stranger":
		return &verify.Verdict{ServiceAccount: verify.Object{Name: token}}, nil
	case "lost":
		return nil, fmt.Errorf("%w: no route to host", verify.ErrUnavailable)
	}
	return nil, fmt.Errorf("%w: at noon", verify.ErrExpired)
}

var errStranger = errors.New("strangers may not")

// health is a service with a unary and a streaming method, either of which says
// by an error who calls.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
}

func whoCalls(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	v, ok := verify.FromContext(ctx)
	if !ok {
		return status.Error(codes.Aborted, "nobody")
	}
	return status.Errorf(codes.Aborted, "%s %q %q", v.ServiceAccount.Name, md.Get("authorization"), md.Get("colour"))
}

func (health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return nil, whoCalls(ctx)
}

func (health) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer) error {
	return whoCalls(stream.Context())
}

// calls serves health behind a guard and returns both of its methods.
func calls(t *testing.T, guard verifygrpc.Guard) map[string]func(context.Context) error {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(grpc.UnaryInterceptor(guard.Unary()), grpc.StreamInterceptor(guard.Stream()))
	grpc_health_v1.RegisterHealthServer(server, health{})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	connection, err := grpc.NewClient("passthrough:///", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = connection.Close()
		server.Stop()
		serving.Wait()
	})
	client := grpc_health_v1.NewHealthClient(connection)
	return map[string]func(context.Context) error{
		"unary": func(ctx context.Context) error {
			_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			return err
		},
		"stream": func(ctx context.Context) error {
			stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
	}
}

func TestCallersAreKnownToTheMethodOrTurnedAway(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var why error
	methods := calls(t, verifygrpc.Guard{
		Verifier: roll{},
		Allow: func(_ context.Context, method string, v *verify.Verdict) error {
			if v.ServiceAccount.Name != "reporter" || !strings.HasPrefix(method, "/grpc.health.v1.Health/") {
				return errStranger
			}
			return nil
		},
		Refused: func(_ context.Context, _ string, err error) {
			mu.Lock()
			defer mu.Unlock()
			why = err
		},
	})
	for name, test := range map[string]struct {
		metadata []string
		code     codes.Code
		text     string
		why      error
	}{
		"a good token":       {[]string{"authorization", "Bearer reporter"}, codes.Aborted, `reporter [] ["blue"]`, nil},
		"nothing shown":      {nil, codes.Unauthenticated, "a valid bearer token is needed", verifygrpc.ErrNoToken},
		"another scheme":     {[]string{"authorization", "Basic cmVwb3J0ZXI="}, codes.Unauthenticated, "a valid bearer token is needed", verifygrpc.ErrNoToken},
		"no token":           {[]string{"authorization", "Bearer "}, codes.Unauthenticated, "a valid bearer token is needed", verifygrpc.ErrNoToken},
		"two tokens":         {[]string{"authorization", "Bearer reporter", "authorization", "Bearer reporter"}, codes.Unauthenticated, "a valid bearer token is needed", verifygrpc.ErrNoToken},
		"a bad token":        {[]string{"authorization", "Bearer old"}, codes.Unauthenticated, "a valid bearer token is needed", verify.ErrExpired},
		"somebody else":      {[]string{"authorization", "Bearer stranger"}, codes.PermissionDenied, "the caller may not do this", errStranger},
		"nobody to be asked": {[]string{"authorization", "bearer lost"}, codes.Unavailable, "tokens cannot be checked for the moment", verify.ErrUnavailable},
	} {
		for kind, call := range methods {
			mu.Lock()
			why = nil
			mu.Unlock()
			err := call(metadata.AppendToOutgoingContext(t.Context(), append(test.metadata, "colour", "blue")...))
			if status.Code(err) != test.code || status.Convert(err).Message() != test.text {
				t.Errorf("%s, %s: got %v, want %s: %s", name, kind, err, test.code, test.text)
			}
			mu.Lock()
			if !errors.Is(why, test.why) || (test.why == nil) != (why == nil) {
				t.Errorf("%s, %s: the service hears %v, want %v", name, kind, why, test.why)
			}
			mu.Unlock()
		}
	}
}

func TestOpenMethodsNeedNoToken(t *testing.T) {
	t.Parallel()
	methods := calls(t, verifygrpc.Guard{
		Verifier: roll{},
		Open:     func(method string) bool { return method == grpc_health_v1.Health_Check_FullMethodName },
	})
	if err := methods["unary"](t.Context()); status.Code(err) != codes.Aborted || status.Convert(err).Message() != "nobody" {
		t.Errorf("an open method: got %v", err)
	}
	if err := methods["stream"](t.Context()); status.Code(err) != codes.Unauthenticated {
		t.Errorf("another method: got %v, want Unauthenticated", err)
	}
}

func TestAGuardWithoutAVerifierGuardsNothing(t *testing.T) {
	t.Parallel()
	for name, guard := range map[string]func(){
		"unary":  func() { verifygrpc.Guard{}.Unary() },
		"stream": func() { verifygrpc.Guard{}.Stream() },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, "Guard.Verifier") {
					t.Errorf("%s: it says %q", name, text)
				}
			}()
			guard()
		}()
	}
}
