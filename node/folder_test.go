// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFolderOfAKilledRunIsRemovedByTheNext(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	old := time.Now().Add(-time.Hour)
	folders := map[string]*folder{}
	for _, name := range []string{"running", "killed", "fresh"} {
		f, err := newFolder(parent)
		if err != nil {
			t.Fatal(err)
		}
		folders[name] = f
	}
	for _, name := range []string{"killed", "fresh"} {
		folders[name].lock.Close() // as the kernel does for the dead
	}
	elsewhere := t.TempDir()
	link := filepath.Join(parent, folderPrefix+"link")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folders["running"].path, folders["killed"].path, elsewhere} {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	next, err := newFolder(parent)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		folders["running"].path: true, folders["killed"].path: false, folders["fresh"].path: true,
		next.volume(): true, link: true, elsewhere: true,
	} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}
