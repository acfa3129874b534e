// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPathsThatCouldLeaveTheVolumeAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", ".", "./", "/token", "..", "../token", "a/../b", "a/..", "..data", "..data/token", "./..data",
		".//..data_tmp", "..2026_08_01_12_00_00.7", "...", "a\x00b", strings.Repeat("a", 256),
		strings.Repeat("a/", 2048) + "a",
	} {
		if got, err := CleanPath(name); err == nil || got != "" {
			t.Errorf("CleanPath(%q) = %q, %v; want an error", name, got, err)
		}
	}
}

func TestPathsBelowTheVolumeAreCleaned(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"token": "token", "a/b": "a/b", "a//b/": "a/b", "./a": "a", ".hidden": ".hidden", "a/..b": "a/..b",
		strings.Repeat("a", 255): strings.Repeat("a", 255),
	} {
		if got, err := CleanPath(name); err != nil || got != want {
			t.Errorf("CleanPath(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestPayloadWhosePathsMeetIsRefused(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]Payload{
		"twice":              {"a": {}, "./a": {}},
		"file and directory": {"a/b": {}, "a/b/c": {}},
	} {
		dir := t.TempDir()
		if err := (&Writer{Dir: dir}).Write(payload); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
			t.Errorf("%s: the volume was touched: %v, %v", name, entries, err)
		}
	}
}

// An accepted path names the same file when it is cleaned again, and that file is below the volume.
func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{"token", "a/b", "./..data", "a/../..", "/x", "..", "a//", "..2026_08_01_12_00_00.7", "é/\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := CleanPath(name)
		if err != nil {
			if clean != "" {
				t.Fatalf("CleanPath(%q) refused the path and returned %q", name, clean)
			}
			return
		}
		if again, err := CleanPath(clean); err != nil || again != clean {
			t.Fatalf("CleanPath(%q) = %q, which cleans to %q, %v", name, clean, again, err)
		}
		if !filepath.IsLocal(clean) || strings.HasPrefix(clean, "..") {
			t.Fatalf("CleanPath(%q) = %q, which is not below the volume", name, clean)
		}
	})
}
