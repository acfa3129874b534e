// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

const configuration = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {enabled: false}\n"

func TestBadWaysInAreRefusedBeforeTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	anonymous, empty := file("anonymous.yaml", configuration), file("empty", "")
	ours := file("ours.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: [{issuer: {url: "+DefaultIssuer+", audiences: [x]}, claimMappings: {username: {claim: sub, prefix: ''}}}]\n")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--authentication-config", filepath.Join(dir, "away")}, "--authentication-config: open"},
		{[]string{"--authentication-config", empty}, "the file is empty"},
		{[]string{"--authentication-config", ours}, "must not overlap with disallowed issuers"},
		{[]string{"--authentication-config", anonymous, "--anonymous-auth"}, "leave one of them out"},
		{[]string{"--authentication-config", anonymous, "--anonymous-auth=false"}, "leave one of them out"},
		{[]string{"--authentication-token-webhook-config-file", filepath.Join(dir, "away")}, "--authentication-token-webhook-config-file: "},
		{[]string{"--authentication-token-webhook-config-file", empty}, "--authentication-token-webhook-config-file: "},
		{[]string{"--authentication-token-webhook-config-file", empty, "--authentication-token-webhook-version", "v2"}, `--authentication-token-webhook-version "v2" must be v1 or v1beta1`},
		{[]string{"--authentication-token-webhook-config-file", empty, "--authentication-token-webhook-cache-ttl", "-1s"}, "--authentication-token-webhook-cache-ttl -1s must not be negative"},
		{[]string{"--requestheader-client-ca-file", empty, "--requestheader-username-headers", "X-Remote-User"}, "--requestheader-client-ca-file: "},
		{[]string{"--requestheader-client-ca-file", empty}, "wants the header that names the user"},
		{[]string{"--requestheader-allowed-names", " "}, `empty value in "requestheader-allowed-names"`},
	} {
		o := NewOptions()
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.AddFlags(set)
		if err := set.Parse(test.args); err != nil {
			t.Fatal(err)
		}
		o.complete()
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %q", test.args, err, test.want)
		}
	}
}

func TestAFileIsFollowedThroughReplacementAndLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	ctx, cancel := context.WithCancel(t.Context())
	seen, ended := make(chan string), make(chan struct{})
	go func() {
		defer close(ended)
		last := "none"
		follow(ctx, file, time.Hour, func() {
			content, _ := os.ReadFile(file)
			if string(content) == last {
				return
			}
			last = string(content)
			select {
			case seen <- last:
			case <-ctx.Done():
			}
		})
	}()
	expect := func(want string) {
		t.Helper()
		for {
			select {
			case got := <-seen:
				if got == want {
					return
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("nobody has told of %q", want)
			}
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	expect("") // it is not there
	do(os.WriteFile(file, []byte("one"), 0o600))
	expect("one")
	do(os.WriteFile(file+".new", []byte("two"), 0o600))
	do(os.Rename(file+".new", file))
	expect("two")
	do(os.Mkdir(filepath.Join(dir, "mounted"), 0o700))
	do(os.WriteFile(filepath.Join(dir, "mounted", "file"), []byte("three"), 0o600))
	do(os.Remove(file))
	do(os.Symlink(filepath.Join("mounted", "file"), file))
	expect("three")
	cancel()
	<-ended
}
