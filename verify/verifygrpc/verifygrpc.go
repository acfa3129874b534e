// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verifygrpc puts a verifier before the methods of a gRPC server.
//
//	guard := verifygrpc.Guard{Verifier: verifier, Allow: onlyReporters}
//	grpc.NewServer(grpc.UnaryInterceptor(guard.Unary()), grpc.StreamInterceptor(guard.Stream()))
//
// Callers send their token in the metadata authorization, as "Bearer TOKEN"; a
// client's grpc.WithPerRPCCredentials does so. Methods are called for those alone
// who showed a good token and are allowed, and learn by [verify.FromContext] who
// they are.
//
//	nothing, or a bad token  Unauthenticated
//	a good one, not allowed  PermissionDenied
//	nobody could be asked    Unavailable
//
// A stream is checked when it begins. It may outlive its token: a method whose
// streams are long should end them at the verdict's Expires.
package verifygrpc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/muster-identity/muster/verify"
)

// Guard stands before the methods of a server. Verifier must be set.
type Guard struct {
	// Verifier checks the tokens.
	Verifier verify.Verifier
	// Allow decides whether someone who showed a good token may call a method,
	// /package.Service/Method; an error says why not. Nil lets everyone in who has
	// a token for this service. It may be called concurrently.
	Allow func(ctx context.Context, method string, v *verify.Verdict) error
	// Open, if set, tells which methods everyone may call, without a verdict: the
	// health checks of a kubelet carry no token. It may be called concurrently.
	Open func(method string) bool
	// Refused, if set, hears of each call that was turned away, and why: the place
	// for a log or a counter. The error is that of Verifier or Allow, and holds no
	// token. It may be called concurrently.
	Refused func(ctx context.Context, method string, err error)
}

// ErrNoToken is the error for a call without a bearer token, or with several.
var ErrNoToken = errors.New("the call has no bearer token")

// Unary guards methods that take one message and return one. It panics if the
// guard has no Verifier.
func (g Guard) Unary() grpc.UnaryServerInterceptor {
	g.mustBeWhole()
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, method grpc.UnaryHandler) (any, error) {
		ctx, err := g.admit(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		return method(ctx, request)
	}
}

// Stream guards methods that stream. It panics if the guard has no Verifier.
func (g Guard) Stream() grpc.StreamServerInterceptor {
	g.mustBeWhole()
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, method grpc.StreamHandler) error {
		ctx, err := g.admit(stream.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		return method(server, known{stream, ctx})
	}
}

// known is the stream of a caller who is known.
type known struct {
	grpc.ServerStream
	ctx context.Context
}

// Context carries the verdict.
func (k known) Context() context.Context { return k.ctx }

func (g Guard) mustBeWhole() {
	if g.Verifier == nil {
		panic("verifygrpc: Guard.Verifier must be set")
	}
}

// admit returns the context of the method, or the error that the caller gets.
func (g Guard) admit(ctx context.Context, method string) (context.Context, error) {
	if g.Open != nil && g.Open(method) {
		return ctx, nil
	}
	verdict, code, err := g.judge(ctx, method)
	if err != nil {
		if g.Refused != nil {
			g.Refused(ctx, method, err)
		}
		return nil, status.Error(code, texts[code])
	}
	return verify.NewContext(withoutToken(ctx), verdict), nil
}

// texts are what callers learn. Why exactly they were turned away they do not.
var texts = map[codes.Code]string{
	codes.Unauthenticated:  "a valid bearer token is needed",
	codes.PermissionDenied: "the caller may not do this",
	codes.Unavailable:      "tokens cannot be checked for the moment",
}

func (g Guard) judge(ctx context.Context, method string) (*verify.Verdict, codes.Code, error) {
	token, err := bearer(ctx)
	if err != nil {
		return nil, codes.Unauthenticated, err
	}
	verdict, err := g.Verifier.Verify(ctx, token)
	switch {
	case errors.Is(err, verify.ErrInvalid):
		return nil, codes.Unauthenticated, err
	case err != nil:
		return nil, codes.Unavailable, err
	}
	if g.Allow != nil {
		if err := g.Allow(ctx, method, verdict); err != nil {
			return nil, codes.PermissionDenied, err
		}
	}
	return verdict, codes.OK, nil
}

const authorization = "authorization"

func bearer(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, authorization)
	if len(values) != 1 {
		return "", fmt.Errorf("%w: it has %d values of %s", ErrNoToken, len(values), authorization)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if token = strings.Trim(token, " "); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", fmt.Errorf("%w: it is of another scheme or empty", ErrNoToken)
	}
	return token, nil
}

// withoutToken is the context without what its receiver could leak.
func withoutToken(ctx context.Context) context.Context {
	md, _ := metadata.FromIncomingContext(ctx) // a copy
	md.Delete(authorization)
	return metadata.NewIncomingContext(ctx, md)
}
