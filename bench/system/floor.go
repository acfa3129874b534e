// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/bench/load"
)

// floorCommand is the word with which this program is run as the floor.
const floorCommand = "floor"

// StartFloor runs, below dir, a server that reads each request and gives every
// one the same answer, and does nothing else: what is left is the price of TLS,
// HTTP and the bytes themselves. It is this program again, by ServeFloor.
func StartFloor(ctx context.Context, dir string, answer load.Answer) (*System, error) {
	pki, err := newPKI(dir)
	if err != nil {
		return nil, err
	}
	recorded, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer of the floor: %w", err)
	}
	path := filepath.Join(dir, "answer.json")
	if err := os.WriteFile(path, recorded, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("looking for this program: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &System{Name: "floor", URL: "https://127.0.0.1:" + port, Admin: &rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: pki.authorityPEM}}}
	begun := time.Now()
	if s.server, err = start(dir, self, floorCommand, "127.0.0.1:"+port, pki.certificate, pki.key, path); err != nil {
		return nil, err
	}
	if err := s.awaitReady(ctx, begun); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// IsFloor tells whether this process was started by StartFloor.
func IsFloor(args []string) bool { return len(args) == 5 && args[0] == floorCommand }

// ServeFloor is the floor, in the process that StartFloor has started. It
// returns only with an error.
func ServeFloor(args []string) error {
	address, certificate, key, path := args[1], args[2], args[3], args[4]
	recorded, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var answer load.Answer
	if err := json.Unmarshal(recorded, &answer); err != nil {
		return fmt.Errorf("reading the answer of the floor: %w", err)
	}
	answer.Header.Del("Date") // net/http writes its own, which costs
	server := &http.Server{Addr: address, Handler: always(answer)}
	return server.ListenAndServeTLS(certificate, key)
}

// always gives every request the same answer; readiness has one of its own.
func always(answer load.Answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			return
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			return // the client has gone
		}
		header := w.Header()
		for name, values := range answer.Header {
			header[name] = values
		}
		w.WriteHeader(answer.Status)
		_, _ = w.Write(answer.Body) // fails when the client has gone
	})
}
