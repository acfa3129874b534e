// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// somePodUID stands in recorded requests for that of the pod: it is as long.
const somePodUID = "00000000-0000-0000-0000-000000000000"

// recorded are requests as clients of Kubernetes send them: kubectl, client-go in
// both encodings, the webhooks of kube-apiserver. Tokens are placeholders, and the
// files whose names begin with "general" are not served by the lane.
func (r *roads) recorded(t testing.TB) map[string]call {
	t.Helper()
	files, err := filepath.Glob("testdata/requests/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded requests: %v", err)
	}
	calls := map[string]call{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := bytes.Cut(text, []byte("\r\n\r\n"))
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(r.filled(head) + "\r\n\r\n")))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".http")
		c := call{
			method: request.Method, path: request.RequestURI, header: map[string]string{},
			body: r.filled(body), lane: !strings.HasPrefix(name, "general"),
		}
		for key := range request.Header {
			c.header[key] = request.Header.Get(key)
		}
		calls["recorded: "+name] = c
	}
	return calls
}

// filled has what the placeholders stand for.
func (r *roads) filled(text []byte) string {
	return strings.NewReplacer("{{caller}}", r.caller, "{{bound}}", r.bound, somePodUID, r.podUID).Replace(string(text))
}
