// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

const event = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"get","user":{"username":"jane"}}` + "\n"

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".gz") {
		z := gzip.NewWriter(f)
		_, err = z.Write([]byte(content))
		if err == nil {
			err = z.Close()
		}
	} else {
		_, err = f.WriteString(content)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEveryEventIsReadFromFilesOfAllKinds(t *testing.T) {
	t.Parallel()
	log := Log{
		Files: []string{write(t, "audit.log", event+"\n"+event+event[:30]), write(t, "audit.log.gz", event), "-"},
		Stdin: strings.NewReader(strings.TrimSuffix(event, "\n")),
	}
	var users []string
	err := log.Each(t.Context(), func(e *auditv1.Event) error {
		users = append(users, e.User.Username)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(users, " "); got != "jane jane jane jane" {
		t.Errorf("got the events of %q, want four of jane", got)
	}
}

func TestAnErrorNamesTheFileAndTheLine(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		event + "2026-11-25 AUDIT: id=...\n":              "line 2: this is no event",
		`{"kind":"Event","apiVersion":"v1"}` + "\n":       "line 1: this is no event",
		`[1,2]` + "\n" + event:                            "line 1: this is no event",
		event + event + `{"kind":"EventList"}` + "\n\n\n": "line 3: this is no event",
	} {
		log := Log{Files: []string{write(t, "audit.log", content)}}
		err := log.Each(t.Context(), func(*auditv1.Event) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "audit.log") {
			t.Errorf("reading %q: got error %v, want one with %q", content, err, want)
		}
	}
}

func TestProgressIsToldOfLongLogs(t *testing.T) {
	t.Parallel()
	path := write(t, "audit.log", strings.Repeat(event, 2*progressEvery/len(event)+10))
	told := 0
	log := Log{Files: []string{path}, Progress: func(file string, read, size int64) {
		if file != path || read <= 0 || read > size {
			t.Errorf("told of %s, %d of %d bytes", file, read, size)
		}
		told++
	}}
	if err := log.Each(t.Context(), func(*auditv1.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if told == 0 {
		t.Error("nothing was told of a log of 16 MiB")
	}
}
