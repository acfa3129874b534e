// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// dataDir is the folder that holds what a server keeps: its keys, certificates,
// the administrator's kubeconfig and the embedded store. It is 0700 and belongs
// to one server at a time.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the folder if need be and takes it for this server.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data dir %q cannot be made: %w", path, reason(err))
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data dir %q is not writable: %w", path, reason(err))
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data dir %q is in use by another server", path)
		}
		return nil, fmt.Errorf("data dir %q cannot be locked: %w", path, err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("data dir %q: %w", path, err)
	}
	return &dataDir{path: absolute, lock: lock}, nil
}

// IsAbandoned tells whether a folder was some server's data dir and is no
// running server's.
func IsAbandoned(path string) bool {
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer lock.Close()
	return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

// close gives the folder free.
func (d *dataDir) close() { d.lock.Close() }

func (d *dataDir) join(elements ...string) string {
	return filepath.Join(append([]string{d.path}, elements...)...)
}

// reason is the cause of a failed file operation without the path, for messages
// that name the path themselves.
func reason(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// writeFile writes a file so that after a crash either the old content or the
// new is there, whole:
//
//  1. write the content to a temporary file beside it and sync that;
//  2. rename it over the old one;
//  3. sync the folder.
func writeFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, reason(err))
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, reason(err))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("syncing folder %q: %w", path, reason(err))
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("syncing folder %q: %w", path, reason(err))
	}
	return nil
}

// pairFiles are the two files of a key pair.
type pairFiles struct{ cert, key string }

func (d *dataDir) pair(name string) pairFiles {
	return pairFiles{cert: d.join("pki", name+".crt"), key: d.join("pki", name+".key")}
}

// read returns the pair. The error is fs.ErrNotExist if there is no certificate.
func (f pairFiles) read() (keyPair, error) {
	certPEM, err := os.ReadFile(f.cert)
	if err != nil {
		return keyPair{}, fmt.Errorf("reading %q: %w", f.cert, reason(err))
	}
	keyPEM, err := os.ReadFile(f.key)
	if err != nil { // not fs.ErrNotExist: a certificate whose key is away is not to be replaced
		return keyPair{}, fmt.Errorf("reading %q, the key of %q: %v", f.key, f.cert, reason(err))
	}
	pair, err := parseKeyPair(certPEM, keyPEM)
	if err != nil {
		return keyPair{}, fmt.Errorf("reading %q and %q: %w", f.cert, f.key, err)
	}
	return pair, nil
}

// write keeps the pair: the key first, so that a certificate on disk always has
// its key. A renewed certificate with an unchanged key leaves the key alone.
func (f pairFiles) write(pair keyPair) error {
	keyPEM, err := pair.keyPEM()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(f.key), 0o700); err != nil {
		return fmt.Errorf("making folder %q: %w", filepath.Dir(f.key), reason(err))
	}
	if old, err := os.ReadFile(f.key); err != nil || !bytes.Equal(old, keyPEM) {
		if err := writeFile(f.key, keyPEM); err != nil {
			return err
		}
	}
	return writeFile(f.cert, pair.certPEM())
}
