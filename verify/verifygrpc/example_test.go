// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verifygrpc_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/muster-identity/muster/verify"
	"github.com/muster-identity/muster/verify/verifygrpc"
)

// A server hands its methods to a guard. The verifier of this example knows the
// token "reporter"; yours is made by verify.TokenReview or verify.OIDC.
func ExampleGuard() {
	guard := verifygrpc.Guard{
		Verifier: roll{},
		Open:     func(method string) bool { return method == grpc_health_v1.Health_Check_FullMethodName },
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(guard.Unary()), grpc.StreamInterceptor(guard.Stream()))
	defer server.Stop()

	// What the server does with each call:
	greet := func(ctx context.Context, _ any) (any, error) {
		who, _ := verify.FromContext(ctx)
		return "hello, " + who.ServiceAccount.Name, nil
	}
	call := func(token string) {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token))
		fmt.Println(guard.Unary()(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/greeter.Greeter/Greet"}, greet))
	}
	call("reporter")
	call("old")
	// Output:
	// hello, reporter <nil>
	// <nil> rpc error: code = Unauthenticated desc = a valid bearer token is needed
}
