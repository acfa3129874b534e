// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	folderPrefix = "muster-run-"
	// folderGrace is how long a folder may stand unlocked: its maker has just been given it.
	folderGrace = time.Minute
)

// folder is the 0700 directory of one process: below it the volume, beside that its kubeconfig. It is locked
// for as long as its maker lives, so that the folder of a killed one can be told and removed.
type folder struct {
	path string
	lock *os.File
}

// newFolder makes a folder in parent, after removing what killed processes of this user left there.
func newFolder(parent string) (*folder, error) {
	removeLeftFolders(parent, time.Now())
	path, err := os.MkdirTemp(parent, folderPrefix)
	if err != nil {
		return nil, fmt.Errorf("making folder: %w", err)
	}
	f := &folder{path: path}
	f.lock, err = lockFolder(path)
	if err == nil {
		err = os.Mkdir(f.volume(), 0o700)
	}
	if err == nil {
		err = os.Chmod(f.volume(), 0o755) // what a process sees that gives up its rights after the start
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making folder: %w", err), f.remove())
	}
	return f, nil
}

func (f *folder) volume() string     { return filepath.Join(f.path, "volume") }
func (f *folder) kubeconfig() string { return filepath.Join(f.path, "kubeconfig") }

func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	if f.lock != nil {
		f.lock.Close()
	}
	if err != nil {
		return fmt.Errorf("removing folder: %w", err)
	}
	return nil
}

// lockFolder locks the directory at path, which must not be a link, until the returned file is closed. The lock
// is not handed down to commands: Go opens files close-on-exec.
func lockFolder(path string) (*os.File, error) {
	dir, err := os.OpenFile(path, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		dir.Close()
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	return dir, nil
}

// removeLeftFolders does what it can: a folder that stays hurts nobody, as its token is void.
func removeLeftFolders(parent string, now time.Time) {
	found, _ := filepath.Glob(filepath.Join(parent, folderPrefix+"*"))
	for _, path := range found {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || !mine(info) || now.Sub(info.ModTime()) < folderGrace {
			continue
		}
		if lock, err := lockFolder(path); err == nil {
			(&folder{path, lock}).remove()
		}
	}
}

// folderParent picks where folders go: memory that dies with the machine where there is some, else the
// temporary directory. It must be this user's, or sticky: elsewhere another could swap the folder.
func folderParent() string {
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		var about unix.Statfs_t
		if dir == "" || unix.Statfs(dir, &about) != nil || about.Type != unix.TMPFS_MAGIC {
			continue
		}
		info, err := os.Stat(dir)
		if err != nil || !mine(info) && info.Mode()&fs.ModeSticky == 0 || unix.Access(dir, unix.W_OK) != nil {
			continue
		}
		return dir
	}
	return os.TempDir()
}

// mine reports whether the file belongs to the user of this process.
func mine(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	return int(stat.Uid) == os.Geteuid()
}
