// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"fmt"
	"os"
	"time"
)

// Writer projects payloads into one directory. One goroutine at a time may call Write; readers need no lock.
type Writer struct {
	// Dir exists and belongs to the writer alone. Every change is made relative to an open handle of it,
	// so that no link inside can lead a write elsewhere.
	Dir string
	// Now names the timestamp directories; nil is time.Now.
	Now func() time.Time

	// around, where set, runs each step in place of the writer: tests break the step before or after it
	// takes effect.
	around func(step step, run func() error) error
}

// step names a numbered step of Write, for errors and for the tests that break it.
type step string

// Write makes payload what the directory shows.
//
//  1. check: the payload's paths are cleaned and refused as a whole if one of them is unfit.
//  2. sweep: what an earlier, broken write left is removed: timestamp directories that do not count, and
//     ..data_tmp.
//  3. compare: if the payload that counts is the same in paths, bytes and modes, only steps 7 and 8 follow.
//  4. fill: a new timestamp directory receives the files. Nobody looks at it yet.
//  5. link: ..data_tmp points to it.
//  6. swap: ..data_tmp is renamed to ..data. Before this step readers see the old payload, after it the new.
//  7. show: names that are missing in the directory become links to ..data/<name>.
//  8. hide: links to names that the payload no longer has are removed.
//  9. drop: the old timestamp directory is removed.
//
// There is no way back and no cleaning up after an error: a write that fails and a process that dies leave
// the same things, the old payload whole up to step 5, the new one from step 6 on, and the next Write goes
// on from there. Nothing is synced: a volume does not outlive the machine's uptime.
func (w *Writer) Write(payload Payload) error {
	want, err := payload.clean()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(w.Dir)
	if err != nil {
		return fmt.Errorf("opening volume: %w", err)
	}
	defer root.Close()
	return w.project(volume{root}, want)
}

// project is Write from step 2 on. The first step that fails is the last.
func (w *Writer) project(v volume, want Payload) error {
	counts, err := v.current()
	if err != nil {
		return fmt.Errorf("reading %s: %w", dataLink, err)
	}
	do := func(name step, run func() error) {
		if err == nil {
			err = w.step(name, run)
		}
	}
	same := false
	do("sweep", func() error { return v.sweep(counts) })
	do("compare", func() (err error) { same, err = v.holds(counts, want); return err })
	if !same {
		do("fill", func() (err error) { counts, err = v.fill(w.now(), want); return err })
		do("link", func() error { return v.Symlink(counts, newDataLink) })
		do("swap", func() error { return v.Rename(newDataLink, dataLink) })
	}
	do("show", func() error { return v.show(want) })
	do("hide", func() error { return v.hide(want) })
	if !same {
		do("drop", func() error { return v.sweep(counts) })
	}
	return err
}

func (w *Writer) step(name step, run func() error) error {
	if w.around != nil {
		return w.around(name, run)
	}
	if err := run(); err != nil {
		return fmt.Errorf("projecting volume, step %q: %w", name, err)
	}
	return nil
}

func (w *Writer) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}
