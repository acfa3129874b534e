// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"os"
	"time"

	"k8s.io/apiserver/pkg/server/options/authorizationconfig/metrics"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/authz"
)

// authorizationPeriod is how often the file is read though nobody has told of a
// change.
const authorizationPeriod = time.Minute

// authorizationFile keeps the chain as the file of --authorization-config has it.
// A file that is no good changes nothing: it is logged, and counted in Kubernetes'
// metrics.
type authorizationFile struct {
	path  string
	chain *authz.Chain
	// id is the server's name in metrics.
	id string
	// seen is the content that was tried last.
	seen []byte
}

func newAuthorizationFile(path string, data []byte, chain *authz.Chain, id string) *authorizationFile {
	metrics.RegisterMetrics()
	metrics.RecordAuthorizationConfigLastConfigInfo(id, string(data))
	return &authorizationFile{path: path, chain: chain, id: id, seen: data}
}

// reload applies what the file says now.
func (f *authorizationFile) reload() {
	data, err := os.ReadFile(f.path)
	if err == nil && bytes.Equal(data, f.seen) {
		return
	}
	if err == nil {
		f.seen = data
		err = f.apply(data)
	}
	if err != nil {
		klog.ErrorS(err, "the authorization configuration stays as it was", "file", f.path)
		metrics.RecordAuthorizationConfigAutomaticReloadFailure(f.id)
		return
	}
	metrics.RecordAuthorizationConfigAutomaticReloadSuccess(f.id, string(data))
}

func (f *authorizationFile) apply(data []byte) error {
	if err := authorizationDocument.check(data); err != nil {
		return err
	}
	config, err := authz.ParseConfiguration(data, f.chain.Kept()...)
	if err != nil {
		return err
	}
	return f.chain.Replace(config)
}

// reloadAuthorization keeps following the file, if there is one.
func (h *house) reloadAuthorization(ctx context.Context) error {
	if h.authorization != nil {
		h.background.Go(func() { follow(ctx, h.authorization.path, authorizationPeriod, h.authorization.reload) })
	}
	return nil
}
