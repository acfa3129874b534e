// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	before = Payload{"token": text("old"), "ca.crt": text("old"), "gone": text("old"), "deep/down/here": text("old")}
	after  = Payload{"token": text("new"), "ca.crt": text("new"), "fresh": text("new"), "deep/down/there": text("new")}
)

func text(data string) File { return File{Data: []byte(data), Mode: 0o644} }

func writer(t *testing.T) *Writer {
	t.Helper()
	now := time.Date(2026, 8, 1, 12, 0, 0, 7, time.UTC)
	return &Writer{Dir: t.TempDir(), Now: func() time.Time { return now }}
}

// visible reads the volume as its users do: by the names that do not begin with "..".
func visible(t *testing.T, dir string) Payload {
	t.Helper()
	return below(t, dir, func(first string) bool { return len(first) < 2 || first[:2] != ".." })
}

// counting reads what ..data points to.
func counting(t *testing.T, dir string) Payload {
	t.Helper()
	return below(t, filepath.Join(dir, dataLink), func(string) bool { return true })
}

func below(t *testing.T, dir string, want func(name string) bool) Payload {
	t.Helper()
	out := Payload{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !want(entry.Name()) {
			continue
		}
		top, err := filepath.EvalSymlinks(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			data, err := os.ReadFile(name)
			rel, _ := filepath.Rel(top, name)
			out[filepath.Join(entry.Name(), rel)] = File{Data: data, Mode: info.Mode()}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, entry := range entries {
		out = append(out, entry.Name())
	}
	return out
}

func TestVolumeHasTheLayoutOfKubernetes(t *testing.T) {
	t.Parallel()
	w := writer(t)
	if err := w.Write(Payload{"token": {[]byte("x"), 0o600}, "a/b": {[]byte("y"), 0o444}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"..2026_08_01_12_00_00.7", "..data", "a", "token"}, names(t, w.Dir)); diff != "" {
		t.Error(diff)
	}
	for link, want := range map[string]string{"..data": "..2026_08_01_12_00_00.7", "token": "..data/token", "a": "..data/a"} {
		if got, err := os.Readlink(filepath.Join(w.Dir, link)); err != nil || got != want {
			t.Errorf("%s points to %q, %v; want %q", link, got, err, want)
		}
	}
	want := Payload{"token": {[]byte("x"), 0o600}, "a/b": {[]byte("y"), 0o444}}
	if diff := cmp.Diff(want, visible(t, w.Dir)); diff != "" {
		t.Error(diff)
	}
}

func TestUnchangedPayloadIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	w := writer(t)
	if err := w.Write(before); err != nil {
		t.Fatal(err)
	}
	was, err := os.Readlink(filepath.Join(w.Dir, dataLink))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(w.Dir, "token")); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(before); err != nil {
		t.Fatal(err)
	}
	if is, err := os.Readlink(filepath.Join(w.Dir, dataLink)); err != nil || is != was {
		t.Errorf("the data moved from %q to %q, %v", was, is, err)
	}
	if diff := cmp.Diff(before, visible(t, w.Dir)); diff != "" {
		t.Errorf("a lost link was not made again:\n%s", diff)
	}
}

func TestChangedModeOrLostFileIsAChange(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]Payload{
		"mode":    {"a": {[]byte("x"), 0o600}, "b": text("y")},
		"content": {"a": text("z"), "b": text("y")},
		"fewer":   {"a": text("x")},
		"none":    {},
	} {
		w := writer(t)
		for _, payload := range []Payload{{"a": text("x"), "b": text("y")}, next} {
			if err := w.Write(payload); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(payload, visible(t, w.Dir)); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
		}
	}
}

// Each step fails once before and once after it took effect. What readers find below ..data must be one
// payload, whole, and the next write must reach its goal and leave nothing of the broken one.
func TestBrokenStepLeavesOnePayloadWhole(t *testing.T) {
	t.Parallel()
	type row struct {
		step      step
		undone    Payload // what counts if the step breaks before its effect
		done      Payload // and after it
		allLinked bool    // whether every name of the payload that counts can be read
	}
	table := []row{
		{"sweep", before, before, true},
		{"compare", before, before, true},
		{"fill", before, before, true},
		{"link", before, before, true},
		{"swap", before, after, false},
		{"show", after, after, false},
		{"hide", after, after, false},
		{"drop", after, after, true},
	}
	var all, ran []step
	for _, r := range table {
		all = append(all, r.step)
		for _, effect := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s effect=%v", r.step, effect), func(t *testing.T) {
				t.Parallel()
				w := writer(t)
				if err := w.Write(before); err != nil {
					t.Fatal(err)
				}
				broken := errors.New("broken")
				w.around = func(name step, run func() error) error {
					if name != r.step {
						return run()
					}
					if effect {
						if err := run(); err != nil {
							t.Error(err)
						}
					}
					return broken
				}
				if err := w.Write(after); !errors.Is(err, broken) {
					t.Fatalf("Write returned %v", err)
				}
				want := r.undone
				if effect {
					want = r.done
				}
				if diff := cmp.Diff(want, counting(t, w.Dir)); diff != "" {
					t.Errorf("what counts after the break:\n%s", diff)
				}
				if r.allLinked {
					if diff := cmp.Diff(want, visible(t, w.Dir)); diff != "" {
						t.Errorf("what is seen after the break:\n%s", diff)
					}
				}
				w.around = nil
				for _, next := range []Payload{after, before} {
					if err := w.Write(next); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(next, visible(t, w.Dir)); diff != "" {
						t.Errorf("what is seen after the next write:\n%s", diff)
					}
					if left := stamps(t, w.Dir); len(left) != 1 {
						t.Errorf("timestamp directories left behind: %v", left)
					}
				}
			})
		}
	}
	w := writer(t)
	if err := w.Write(before); err != nil {
		t.Fatal(err)
	}
	w.around = func(name step, run func() error) error { ran = append(ran, name); return run() }
	if err := w.Write(after); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, ran); diff != "" {
		t.Errorf("the table's steps are not those of Write:\n%s", diff)
	}
}

// stamps returns all that is reserved to the writer in dir, but for ..data.
func stamps(t *testing.T, dir string) []string {
	t.Helper()
	return slices.DeleteFunc(names(t, dir), func(name string) bool {
		return name == dataLink || !strings.HasPrefix(name, "..")
	})
}

func TestFirstWriteThatBreaksShowsNothing(t *testing.T) {
	t.Parallel()
	w := writer(t)
	broken := errors.New("broken")
	w.around = func(name step, run func() error) error {
		if name == "swap" {
			return broken
		}
		return run()
	}
	if err := w.Write(before); !errors.Is(err, broken) {
		t.Fatalf("Write returned %v", err)
	}
	if got := visible(t, w.Dir); len(got) != 0 {
		t.Errorf("seen: %v", got)
	}
}

func TestForeignEntriesAndLinksAreLeftAlone(t *testing.T) {
	t.Parallel()
	w := writer(t)
	outside := t.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(outside, "precious"), nil, 0o600),
		os.WriteFile(filepath.Join(w.Dir, "..notes"), nil, 0o600),
		os.Symlink(outside, filepath.Join(w.Dir, dataLink)),
		os.Symlink(outside, filepath.Join(w.Dir, "elsewhere")),
		w.Write(before), w.Write(after),
	); err != nil {
		t.Fatal(err)
	}
	if got := names(t, outside); !slices.Equal(got, []string{"precious"}) {
		t.Errorf("outside the volume there is now %v", got)
	}
	if diff := cmp.Diff(after, counting(t, w.Dir)); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"..notes", "elsewhere"} {
		if _, err := os.Lstat(filepath.Join(w.Dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// Whoever resolves ..data once reads one payload, at every moment of many swaps.
func TestReadersNeverSeeAMixture(t *testing.T) {
	t.Parallel()
	w := writer(t)
	if err := w.Write(before); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		var err error
		for i := range 200 {
			err = errors.Join(err, w.Write([]Payload{after, before}[i%2]))
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		dir, err := os.Open(filepath.Join(w.Dir, dataLink))
		if err != nil {
			t.Fatal(err)
		}
		token, errToken := readAt(dir, "token")
		ca, errCA := readAt(dir, "ca.crt")
		dir.Close()
		if errToken == nil && errCA == nil && token != ca {
			t.Fatalf("read token %q beside ca.crt %q", token, ca)
		}
	}
}

func readAt(dir *os.File, name string) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name))
	return string(data), err
}
