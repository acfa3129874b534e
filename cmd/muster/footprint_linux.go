// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// shrink gives back to the system what only the start of a server needed: freed
// heap, and the pages of this program's own code and constants, of which the
// initialization of its libraries touched nearly all. What is still in use
// comes back by itself, page by page, from the page cache.
func shrink() error {
	debug.FreeOSMemory()
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("reading the memory map: %w", err)
	}
	defer smaps.Close()
	for _, m := range parseMappings(smaps) {
		if m.path != own || !m.pristine() {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("giving back memory: %w", errno)
		}
	}
	return nil
}

// mapping is a part of the address space (proc(5), /proc/pid/smaps).
type mapping struct {
	start, end  uintptr
	permissions string
	path        string
	// changed is how much of it, in kB, differs from the file.
	changed int
}

// pristine tells whether the mapping can be dropped without loss: it cannot be
// written to, and nobody, not the linker either, ever has.
func (m mapping) pristine() bool {
	return !strings.Contains(m.permissions, "w") && m.changed == 0
}

// parseMappings reads smaps. Lines that it does not know are passed over.
func parseMappings(smaps io.Reader) []mapping {
	var all []mapping
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		var m mapping
		var offset, device string
		var inode, kB int
		line := lines.Text()
		if n, _ := fmt.Sscanf(line, "%x-%x %s %s %s %d %s", &m.start, &m.end, &m.permissions, &offset, &device, &inode, &m.path); n >= 6 {
			all = append(all, m)
		} else if n, _ := fmt.Sscanf(line, "Anonymous: %d kB", &kB); n == 1 && len(all) > 0 {
			all[len(all)-1].changed = kB
		}
	}
	return all
}
