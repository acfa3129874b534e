// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheStoreListensInItsFolderOrWhereASocketCanBe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		dir    string
		inside bool
	}{
		"a plain folder":    {"/var/lib/muster/etcd", true},
		"a long path":       {"/" + strings.Repeat("x", 120), false},
		"a hash":            {"/srv/#1/etcd", false},
		"a percent sign":    {"/srv/100%/etcd", false},
		"a question mark":   {"/srv/why?/etcd", false},
		"a space":           {"/srv/my muster/etcd", false},
		"a relative folder": {"data/etcd", false},
	} {
		path, cleanup, err := socketPath(test.dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if inside := filepath.Dir(path) == test.dir; inside != test.inside || !isSocketPath(path) {
			t.Errorf("%s: the socket is %q", name, path)
		}
		cleanup()
		if _, err := os.Stat(filepath.Dir(path)); !test.inside && !os.IsNotExist(err) {
			t.Errorf("%s: the folder of the socket remains: %v", name, err)
		}
	}
}
