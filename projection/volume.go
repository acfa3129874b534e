// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

const (
	dataLink    = "..data"     // points to the timestamp directory that counts
	newDataLink = "..data_tmp" // becomes dataLink by a rename
	stampLayout = "..2006_01_02_15_04_05."
)

// volume is the directory behind one Write: each method is the work of one step.
type volume struct{ *os.Root }

// current returns the timestamp directory that counts, or "" if there is none. A link that this package
// would not have written counts for nothing.
func (v volume) current() (string, error) {
	target, err := v.Readlink(dataLink)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil || !isStamp(target) {
		return "", err
	}
	if info, err := v.Lstat(target); err != nil || !info.IsDir() {
		return "", nil
	}
	return target, nil
}

// sweep removes every timestamp directory but keep, and a half-made swap.
func (v volume) sweep(keep string) error {
	entries, err := fs.ReadDir(v.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if name == keep || name != newDataLink && !isStamp(name) {
			continue
		}
		if err := v.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// holds reports whether the timestamp directory dir, "" for none, has exactly the payload want.
func (v volume) holds(dir string, want Payload) (bool, error) {
	if dir == "" {
		return false, nil
	}
	have := Payload{}
	err := fs.WalkDir(v.FS(), dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := v.ReadFile(name)
		if err != nil {
			return err
		}
		have[strings.TrimPrefix(name, dir+"/")] = File{Data: data, Mode: info.Mode()}
		return nil
	})
	return err == nil && have.equal(want), err
}

// fill writes the payload into a new timestamp directory and returns the directory's name.
func (v volume) fill(now time.Time, payload Payload) (string, error) {
	dir, err := v.newStamp(now)
	if err != nil {
		return "", err
	}
	for name, file := range payload {
		for parent := range parents(name) {
			if err := v.mkdir(path.Join(dir, parent)); err != nil && !errors.Is(err, fs.ErrExist) {
				return "", err
			}
		}
		if err := v.write(path.Join(dir, name), file); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// newStamp makes the directory ..YYYY_MM_DD_hh_mm_ss.N with the first N, from the nanoseconds on, that is free.
func (v volume) newStamp(now time.Time) (string, error) {
	prefix := now.UTC().Format(stampLayout)
	for n := now.Nanosecond(); ; n++ {
		dir := prefix + strconv.Itoa(n)
		if err := v.mkdir(dir); !errors.Is(err, fs.ErrExist) {
			return dir, err
		}
	}
}

func (v volume) mkdir(name string) error {
	if err := v.Mkdir(name, 0o755); err != nil {
		return err
	}
	return v.Chmod(name, 0o755) // whatever the umask
}

// write creates the file without any permission for others and widens it once its content is there.
func (v volume) write(name string, file File) error {
	if err := v.WriteFile(name, file.Data, 0o600); err != nil {
		return err
	}
	return v.Chmod(name, file.Mode)
}

// show links the payload's names into the volume. A link that is there already points to the right place:
// show is the only one that makes them.
func (v volume) show(payload Payload) error {
	for name := range payload {
		first, _, _ := strings.Cut(name, "/")
		err := v.Symlink(path.Join(dataLink, first), first)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// hide removes the links that show once made and that payload has no use for any more.
func (v volume) hide(payload Payload) error {
	wanted := map[string]bool{}
	for name := range payload {
		first, _, _ := strings.Cut(name, "/")
		wanted[first] = true
	}
	entries, err := fs.ReadDir(v.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if wanted[name] || entry.Type() != fs.ModeSymlink {
			continue
		}
		target, err := v.Readlink(name)
		if err != nil {
			return err
		}
		if target != path.Join(dataLink, name) {
			continue
		}
		if err := v.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// isStamp reports whether name is one that newStamp gives.
func isStamp(name string) bool {
	if len(name) <= len(stampLayout) {
		return false
	}
	_, errTime := time.Parse(stampLayout, name[:len(stampLayout)])
	_, errNumber := strconv.ParseUint(name[len(stampLayout):], 10, 64)
	return errTime == nil && errNumber == nil
}
