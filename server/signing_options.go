// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"
	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/muster-identity/muster/authority"
)

// SigningOptions say who signs certificate signing requests.
type SigningOptions struct {
	// CertFile and KeyFile are the authority of all signers
	// (--cluster-signing-cert-file, --cluster-signing-key-file). Without them, and
	// without one of the signer's own, it is an authority in the store, made on
	// first start, renewed, and shared by all replicas.
	CertFile, KeyFile string
	// Signers are the authorities of single signers, by the names that the flags
	// have for them (--cluster-signing-kubelet-serving-cert-file, ...).
	Signers map[string]*SigningFiles
	// Duration is the longest life of a certificate (--cluster-signing-duration).
	Duration time.Duration
}

// SigningFiles are the files (PEM) of one authority.
type SigningFiles struct{ CertFile, KeyFile string }

const (
	defaultSigningDuration = 365 * 24 * time.Hour
	minSigningDuration     = 10 * time.Minute
)

// signerFlags are the signers by the names that the flags have for them.
func signerFlags() []struct{ flag, signer string } {
	return []struct{ flag, signer string }{
		{"kubelet-serving", certificatesv1.KubeletServingSignerName},
		{"kubelet-client", certificatesv1.KubeAPIServerClientKubeletSignerName},
		{"kube-apiserver-client", certificatesv1.KubeAPIServerClientSignerName},
		{"legacy-unknown", "kubernetes.io/legacy-unknown"},
	}
}

func newSigningOptions() SigningOptions {
	o := SigningOptions{Duration: defaultSigningDuration, Signers: map[string]*SigningFiles{}}
	for _, row := range signerFlags() {
		o.Signers[row.flag] = &SigningFiles{}
	}
	return o
}

func (o *SigningOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.CertFile, "cluster-signing-cert-file", o.CertFile, "Authority (PEM, one certificate) that signs certificate signing requests; client certificates of it are accepted. It is read again when it changes. Without it the server makes an authority, in the store, and renews it. Excludes the flags of single signers.")
	fs.StringVar(&o.KeyFile, "cluster-signing-key-file", o.KeyFile, "Private key (PEM) of --cluster-signing-cert-file.")
	for _, row := range signerFlags() {
		files := o.Signers[row.flag]
		name := "cluster-signing-" + row.flag
		fs.StringVar(&files.CertFile, name+"-cert-file", files.CertFile, "As --cluster-signing-cert-file, for the signer "+row.signer+" alone.")
		fs.StringVar(&files.KeyFile, name+"-key-file", files.KeyFile, "Private key (PEM) of --"+name+"-cert-file.")
	}
	fs.DurationVar(&o.Duration, "cluster-signing-duration", o.Duration, "Longest life of a certificate that is signed here. A request may ask for less, down to ten minutes.")
}

// given are the authorities that the operator gave, by the prefix of their flags.
func (o *SigningOptions) given() map[string]SigningFiles {
	all := map[string]SigningFiles{"cluster-signing": {o.CertFile, o.KeyFile}}
	for flag, files := range o.Signers {
		all["cluster-signing-"+flag] = *files
	}
	for flag, files := range all {
		if files == (SigningFiles{}) {
			delete(all, flag)
		}
	}
	return all
}

// of is the authority that the operator gave for a signer, if any.
func (o *SigningOptions) of(flag string) (SigningFiles, bool) {
	given := o.given()
	files, ok := given["cluster-signing-"+flag]
	if !ok {
		files, ok = given["cluster-signing"]
	}
	return files, ok
}

// clientAuthorities are the files of the authorities that sign for clients of
// this server: their certificates are to be honoured here.
func (o *SigningOptions) clientAuthorities() []string {
	var paths []string
	for _, flag := range []string{"kube-apiserver-client", "kubelet-client"} {
		if files, ok := o.of(flag); ok && !slices.Contains(paths, files.CertFile) {
			paths = append(paths, files.CertFile)
		}
	}
	return paths
}

// validate finds what cannot work. It reads the files.
func (o *SigningOptions) validate() []error {
	var errs []error
	if o.Duration < minSigningDuration {
		errs = append(errs, fmt.Errorf("--cluster-signing-duration %s must be at least %s", o.Duration, minSigningDuration))
	}
	given := o.given()
	if _, single := given["cluster-signing"]; single && len(given) > 1 {
		errs = append(errs, fmt.Errorf("cannot specify --cluster-signing-{cert,key}-file and other --cluster-signing-*-file flags at the same time"))
	}
	for _, flag := range slices.Sorted(maps.Keys(given)) {
		files := given[flag]
		switch {
		case files.CertFile == "" || files.KeyFile == "":
			errs = append(errs, fmt.Errorf("--%s-cert-file and --%s-key-file belong together: give both or neither", flag, flag))
		default:
			if _, err := files.read(); err != nil {
				errs = append(errs, fmt.Errorf("--%s-cert-file, --%s-key-file: %w", flag, flag, err))
			}
		}
	}
	return errs
}

// read reads the authority as it is now.
func (f SigningFiles) read() (authority.Authority, error) {
	certificate, err := os.ReadFile(f.CertFile)
	if err != nil {
		return authority.Authority{}, fmt.Errorf("reading %q: %w", f.CertFile, reason(err))
	}
	key, err := os.ReadFile(f.KeyFile)
	if err != nil {
		return authority.Authority{}, fmt.Errorf("reading %q: %w", f.KeyFile, reason(err))
	}
	read, err := authority.Parse(certificate, key)
	if err != nil {
		return authority.Authority{}, fmt.Errorf("reading %q and %q: %w", f.CertFile, f.KeyFile, err)
	}
	return read, nil
}

// signers are who signs, by the names of the signers. Files are read at each
// signature, which is seldom: what is in them then counts.
func (h *house) signers() map[string]func(authority.Request) ([]byte, error) {
	all := map[string]func(authority.Request) ([]byte, error){}
	for _, row := range signerFlags() {
		files, ok := h.server.Options.Signing.of(row.flag)
		if !ok {
			all[row.signer] = h.authorities.Sign
			continue
		}
		all[row.signer] = func(request authority.Request) ([]byte, error) {
			signer, err := files.read()
			if err != nil {
				return nil, err
			}
			return signer.Sign(request, h.server.Now())
		}
	}
	return all
}
