// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package auditlog reads audit logs as API servers write them: an event of
// audit.k8s.io/v1 per line, in JSON, in files that may be compressed by gzip. A
// log is read as a stream, however long it is.
package auditlog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// A Log is the files of one log.
type Log struct {
	// Files are read in their order; "-" is Stdin. What is compressed is told by
	// its first bytes.
	Files []string
	Stdin io.Reader
	// Progress, if not nil, is called now and then with the file that is being
	// read, how many of its bytes have been, and how many it has; 0 if nobody
	// knows.
	Progress func(file string, read, size int64)
}

// progressEvery is how many bytes are read between two calls of Progress.
const progressEvery = 8 << 20

// Each calls handle for every event, in the order of the log, until one returns
// an error or ctx ends. The event belongs to the callee.
//
// An error names the file and the line. A last line that is not complete is left
// out: the server is writing it.
func (l *Log) Each(ctx context.Context, handle func(*auditv1.Event) error) error {
	for _, file := range l.Files {
		if err := l.each(ctx, file, handle); err != nil {
			return fmt.Errorf("audit log %s: %w", file, err)
		}
	}
	return nil
}

func (l *Log) each(ctx context.Context, file string, handle func(*auditv1.Event) error) error {
	source, size := l.Stdin, int64(0)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		source = f
	}
	counted := &counter{Reader: source}
	text, err := plain(counted)
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(text, 1<<20)
	told := int64(0)
	for number := 1; ; number++ {
		if l.Progress != nil && counted.read-told >= progressEvery {
			told = counted.read
			l.Progress(file, told, size)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && !json.Valid(line) {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if err := one(bytes.TrimSpace(line), handle); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if err != nil {
			return nil
		}
	}
}

// one handles the event of a line; an empty line has none.
func one(line []byte, handle func(*auditv1.Event) error) error {
	if len(line) == 0 {
		return nil
	}
	event := &auditv1.Event{}
	if err := json.Unmarshal(line, event); err != nil || event.Kind != "Event" || event.APIVersion != auditv1.SchemeGroupVersion.String() {
		return errors.New("this is no event of audit.k8s.io/v1 in JSON: give the file of --audit-log-path, written with --audit-log-format json")
	}
	return handle(event)
}

// plain decompresses what is compressed.
func plain(source io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(source)
	head, err := buffered.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) { // RFC 1952, section 2.3.1
		return buffered, nil
	}
	return gzip.NewReader(buffered)
}

// counter counts what is read from the file itself.
type counter struct {
	io.Reader
	read int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	return n, err
}
