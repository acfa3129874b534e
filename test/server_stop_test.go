// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestAServerThatIsToldToStopFinishesWhatItHasBegun(t *testing.T) {
	t.Parallel()
	server, config := run(t, filepath.Join(t.TempDir(), "data"))
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	events, err := client.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()

	slow := beginSlowly(t, config)
	if err := server.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitDeafness(t, config.Host)
	if code, err := slow.finish(); err != nil || code != http.StatusCreated {
		t.Errorf("the request under way is answered with %d, error %v, want 201", code, err)
	}
	ended := time.After(readyTimeout)
	for open := true; open; {
		select {
		case _, open = <-events.ResultChan():
		case <-ended:
			t.Fatal("the watch is open still")
		}
	}
	select {
	case <-server.exited:
	case <-ended:
		t.Fatal("the server runs still")
	}
	if code := server.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the exit code is %d, want 0\n%s", code, server.stderr.String())
	}
}

// slowRequest is a request whose body is not all there yet.
type slowRequest struct {
	body *io.PipeWriter
	// done brings what came of it.
	done chan slowAnswer
}

type slowAnswer struct {
	code int
	err  error
}

// beginSlowly sends the head of a request and returns when the server waits for the body.
func beginSlowly(t *testing.T, config *rest.Config) *slowRequest {
	t.Helper()
	config = rest.CopyConfig(config)
	config.NextProtos = []string{"http/1.1"} // which tells that the server waits
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	waits := make(chan struct{})
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got100Continue: func() { close(waits) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, config.Host+"/api/v1/namespaces/default/configmaps", reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Expect", "100-continue")
	slow := &slowRequest{body: writer, done: make(chan slowAnswer, 1)}
	go func() {
		response, err := client.Do(request)
		if err != nil {
			slow.done <- slowAnswer{err: err}
			return
		}
		response.Body.Close()
		slow.done <- slowAnswer{code: response.StatusCode}
	}()
	select {
	case <-waits:
	case <-time.After(readyTimeout):
		t.Fatal("the server does not wait for the body")
	}
	return slow
}

// finish sends the body.
func (s *slowRequest) finish() (code int, err error) {
	if _, err := io.WriteString(s.body, `{"metadata":{"name":"slow"}}`); err != nil {
		return 0, err
	}
	s.body.Close()
	answer := <-s.done
	return answer.code, answer.err
}

// awaitDeafness returns when a server no longer accepts connections.
func awaitDeafness(t *testing.T, host string) {
	t.Helper()
	address, err := url.Parse(host)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(readyTimeout)
	for {
		connection, err := net.Dial("tcp", address.Host)
		if err != nil {
			return
		}
		connection.Close()
		if time.Now().After(deadline) {
			t.Fatal("the server accepts connections still")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
