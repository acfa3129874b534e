// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	_ "unsafe" // for go:linkname

	"go.uber.org/zap"
	"google.golang.org/grpc/grpclog"
)

// storeClientLogger is what the clients of the store log to. The library makes
// it when the program is loaded, to stderr, and has no setting for it.
//
//go:linkname storeClientLogger k8s.io/apiserver/pkg/storage/storagebackend/factory.etcd3ClientLogger
var storeClientLogger *zap.Logger

// SilenceLibraries keeps the chatter of the store's client out of the log: of
// connections, and of each request that its own caller has cut off. What fails
// for another reason is an error of whoever asked. The loggers are those of the
// whole process, so a command calls this before it starts a Server, and a
// Server itself does not.
func SilenceLibraries() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(nobody{}, nobody{}, nobody{}))
	storeClientLogger = storeClientLogger.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))
}

// nobody is a writer that drops what it gets.
type nobody struct{}

// Write drops p.
func (nobody) Write(p []byte) (int, error) { return len(p), nil }
