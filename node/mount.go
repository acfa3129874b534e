// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPath is where every in-cluster client looks for its identity.
const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// mountVolume shows the directory volume, read-only, at target, in this process's mount namespace and nowhere else.
// After an error everything is as it was.
//
//  1. Mounts become slaves of the host's: what is mounted here stays here, what the host mounts later is still seen.
//  2. A target that does not exist cannot be made: it would appear on the host, and to remove it afterwards would
//     take it from others who use it. So its deepest ancestor that exists, /run as a rule, is doubled: covered by
//     a tmpfs in which each of its entries is bound to the original, and in which there is room for more.
//     Sockets and files below the ancestor stay the host's own; only what is made anew directly in it is not shared.
//  3. The volume is bound to the target, as a directory and not file by file, so that its swaps are seen.
func mountVolume(volume, target string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("detaching mounts: %w", err)
	}
	base, rest, err := deepest(target)
	if err != nil {
		return err
	}
	if rest == "." {
		return bindReadOnly(volume, base)
	}
	return double(base, rest, func() error { return bindReadOnly(volume, filepath.Join(base, rest)) })
}

// deepest returns the deepest directory on the way to target that exists, without links, and the rest of the way,
// "." if there is none.
func deepest(target string) (base, rest string, err error) {
	for dir := target; dir != "/"; dir = filepath.Dir(dir) {
		base, err := filepath.EvalSymlinks(dir)
		if err != nil {
			continue
		}
		if info, err := os.Stat(base); err != nil || !info.IsDir() {
			continue
		}
		rest, err := filepath.Rel(dir, target)
		return base, rest, err
	}
	return "", "", fmt.Errorf("no directory on the way to %q", target)
}

// double covers base with a tmpfs that has the same entries, makes the directory rest in it and calls use.
func double(base, rest string, use func() error) error {
	// The way to the originals once they are covered.
	original, err := os.OpenFile(base, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer original.Close()
	entries, err := os.ReadDir(base)
	if err != nil {
		return err
	}
	mode, err := ownMode(base)
	if err != nil {
		return err
	}
	defer unix.Umask(unix.Umask(0))
	if err := unix.Mount("tmpfs", base, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("covering %q: %w", base, err)
	}
	taken, _, _ := strings.Cut(rest, "/") // where it exists it is a link to nowhere, or a file
	err = bindEntries(original, base, slices.DeleteFunc(entries, func(entry fs.DirEntry) bool { return entry.Name() == taken }))
	if err == nil {
		err = os.MkdirAll(filepath.Join(base, rest), 0o755)
	}
	if err == nil {
		err = os.Chmod(base, mode)
	}
	if err == nil {
		err = use()
	}
	if err != nil {
		return errors.Join(err, unix.Unmount(base, unix.MNT_DETACH))
	}
	return nil
}

// bindEntries makes the entries of original, which is covered, visible below base again.
func bindEntries(original *os.File, base string, entries []fs.DirEntry) error {
	for _, entry := range entries {
		from := fmt.Sprintf("/proc/self/fd/%d/%s", original.Fd(), entry.Name())
		if err := bindEntry(from, filepath.Join(base, entry.Name()), entry.Type()); err != nil {
			return err
		}
	}
	return nil
}

// ownMode is the directory's mode, without the right to write where this process has none: the owner of the double
// is this process, whoever owns the original.
func ownMode(dir string) (fs.FileMode, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, err
	}
	mode := info.Mode()
	if unix.Access(dir, unix.W_OK) != nil {
		mode &^= 0o222
	}
	return mode, nil
}

// bindEntry makes to the same as from; links are copied. An entry that has vanished meanwhile is left out.
func bindEntry(from, to string, kind fs.FileMode) error {
	if kind&fs.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	place := func() error { return os.WriteFile(to, nil, 0o600) }
	if kind.IsDir() {
		place = func() error { return os.Mkdir(to, 0o700) }
	}
	if err := place(); err != nil {
		return err
	}
	err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
	if errors.Is(err, fs.ErrNotExist) {
		return os.Remove(to)
	}
	if err != nil {
		return fmt.Errorf("binding %q: %w", to, err)
	}
	return nil
}

// bindReadOnly binds the directory from to the directory to. Before Linux 5.12 it stays writable for those whom its
// modes allow that.
func bindReadOnly(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %q: %w", to, err)
	}
	err := unix.MountSetattr(unix.AT_FDCWD, to, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if err != nil && !errors.Is(err, unix.ENOSYS) {
		return errors.Join(fmt.Errorf("binding %q read-only: %w", to, err), unix.Unmount(to, unix.MNT_DETACH))
	}
	return nil
}
