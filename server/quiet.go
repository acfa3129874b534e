// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import "google.golang.org/grpc/grpclog"

// SilenceLibraries keeps the connection chatter of the store's client out of
// the log. gRPC has one logger for the whole process, so a command calls this
// before it starts a Server, and a Server itself does not.
func SilenceLibraries() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(nobody{}, nobody{}, nobody{}))
}

// nobody is a writer that drops what it gets.
type nobody struct{}

// Write drops p.
func (nobody) Write(p []byte) (int, error) { return len(p), nil }
