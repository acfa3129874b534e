// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// lockedBuffer takes what all goroutines log.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// It has the log of the process, so no other test may run beside it.
func TestAServerThatIsToldToStopWhileItStartsLogsNoError(t *testing.T) {
	server := httptest.NewServer(&emptyServer{})
	t.Cleanup(server.Close)
	logged := &lockedBuffer{}
	klog.LogToStderr(false)
	klog.SetOutput(logged)
	t.Cleanup(func() { klog.LogToStderr(true) })
	for i := range 25 {
		m, err := New(Config{Client: &rest.Config{Host: server.URL}, ServiceIP: netip.MustParseAddr("10.0.0.1"), SecurePort: 6443})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Duration(i)*2*time.Millisecond)
		if err := m.Run(ctx); err != nil {
			t.Errorf("stopped after %d ms: %v", 2*i, err)
		}
		stop()
	}
	klog.Flush()
	for line := range strings.Lines(logged.String()) {
		ofClient := strings.Contains(line, `"Failed to watch"`) && strings.Contains(line, "context") // has a logger of its own
		if strings.HasPrefix(line, "E") && !ofClient {
			t.Error(line)
		}
	}
}
