// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/server/options/authenticationconfig/metrics"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/authn"
)

const (
	// configurationPeriod is how often the file is read though nobody has told
	// of a change.
	configurationPeriod = time.Minute
	// keysTimeout is for how long the issuers of a new file may be silent.
	keysTimeout = time.Minute
)

// configurationFile keeps the issuers as the file of --authentication-config has
// them. A file that is no good changes nothing: it is logged, and counted in
// Kubernetes' metrics.
type configurationFile struct {
	path string
	// ours are the issuers that the file may not name.
	ours    []string
	issuers *authn.JWTIssuers
	// anonymous is what the file said at the start. That cannot change.
	anonymous *apiserver.AnonymousAuthConfig
	// id is the server's name in metrics.
	id string

	// seen is the content that has been applied, or will never be.
	seen []byte
}

func newConfigurationFile(o *Options, first *apiserver.AuthenticationConfiguration, data []byte, issuers *authn.JWTIssuers, id string) *configurationFile {
	metrics.RegisterMetrics()
	metrics.RecordAuthenticationConfigLastConfigInfo(id, string(data))
	return &configurationFile{
		path: o.Authentication.ConfigFile, ours: o.ServiceAccounts.Issuers,
		issuers: issuers, anonymous: first.Anonymous, id: id, seen: data,
	}
}

// reload applies what the file says now.
func (f *configurationFile) reload(ctx context.Context) {
	data, err := os.ReadFile(f.path)
	if err == nil && bytes.Equal(data, f.seen) {
		return
	}
	if err == nil {
		err = f.apply(ctx, data)
	}
	if err != nil {
		klog.ErrorS(err, "the authentication configuration stays as it was", "file", f.path)
		metrics.RecordAuthenticationConfigAutomaticReloadFailure(f.id)
		return
	}
	metrics.RecordAuthenticationConfigAutomaticReloadSuccess(f.id, string(data))
}

// apply puts new content into force. What fails by itself is not tried again,
// unlike issuers that do not answer.
func (f *configurationFile) apply(ctx context.Context, data []byte) error {
	config, err := parseConfiguration(data, f.ours)
	if err != nil {
		f.seen = data
		return err
	}
	if !apiequality.Semantic.DeepEqual(config.Anonymous, f.anonymous) {
		f.seen = data
		return errors.New("anonymous: changed from initial configuration file")
	}
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	if err := f.issuers.Replace(ctx, config); err != nil {
		return fmt.Errorf("replacing the issuers: %w", err)
	}
	f.seen = data
	return nil
}

// reloadConfiguration keeps following the file, if there is one.
func (h *house) reloadConfiguration(ctx context.Context) error {
	if h.configuration != nil {
		h.background.Go(func() {
			follow(ctx, h.configuration.path, configurationPeriod, func() { h.configuration.reload(ctx) })
		})
	}
	return nil
}
