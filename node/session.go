// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/muster-identity/muster/projection"
)

// session is one run of a Process: what it has made so far. Each step fills in its own field, also where it
// fails, so that end finds what may have come to be.
type session struct {
	*Process
	path   string // of the executable
	node   string
	server *url.URL

	folder  *folder
	pod     *pod
	lease   *lease
	volume  *volume
	command *exec.Cmd // started

	reporting sync.Mutex
}

// newSession checks what can be known without asking the server, and makes nothing.
func (p *Process) newSession() (s *session, err error) {
	s = &session{Process: p, node: p.NodeName}
	if s.path, err = exec.LookPath(p.Command); err != nil {
		return nil, err
	}
	if s.node == "" {
		if s.node, err = hostName(); err != nil {
			return nil, err
		}
	}
	if s.server, err = serverURL(p.Config); err != nil {
		return nil, err
	}
	return s, nil
}

// prepare takes the steps before the command's start.
func (s *session) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	for _, next := range []struct {
		step step
		run  func(ctx context.Context) error
	}{
		{"folder", s.makeFolder},
		{"pod", s.makePod},
		{"lease", s.makeLease},
		{"volume", s.makeVolume},
		{"kubeconfig", s.makeKubeconfig},
	} {
		if err := s.do(next.step, func() error { return next.run(ctx) }); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *session) do(name step, run func() error) error {
	if s.around != nil {
		return s.around(name, run)
	}
	return run()
}

func (s *session) makeFolder(context.Context) (err error) {
	parent := s.Dir
	if parent == "" {
		parent = folderParent()
	}
	s.folder, err = newFolder(parent)
	return err
}

func (s *session) makePod(ctx context.Context) error {
	s.pod = &pod{client: s.Client.CoreV1().Pods(s.Namespace), object: s.podObject(s.node)}
	return s.pod.create(ctx)
}

func (s *session) makeLease(ctx context.Context) error {
	s.lease = &lease{client: s.Client.CoordinationV1().Leases(s.Namespace), now: s.now, pod: s.pod.object}
	return s.lease.create(ctx)
}

func (s *session) makeVolume(ctx context.Context) error {
	ca, err := callersCA(s.Config)
	if err != nil {
		return err
	}
	s.volume = &volume{
		client:    s.Client.CoreV1(),
		namespace: s.Namespace,
		token: &TokenKeeper{Now: s.now, Request: func(ctx context.Context) (*authenticationv1.TokenRequest, error) {
			return s.requestToken(ctx, s.pod.object)
		}},
		writer: &projection.Writer{Dir: s.folder.volume(), Now: s.now},
		ca:     ca,
	}
	return s.volume.sync(ctx)
}

func (s *session) makeKubeconfig(context.Context) error {
	kubeconfig, err := kubeconfigFor(s.Config, s.server, s.Namespace, s.folder.volume(), len(s.volume.ca) > 0)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.folder.kubeconfig(), kubeconfig, 0o600); err != nil {
		return fmt.Errorf("writing kubeconfig: %w", err)
	}
	return nil
}

// environ is what the command sees.
func (s *session) environ() []string {
	env := s.Env
	if env == nil {
		env = os.Environ()
	}
	return slices.Concat(env, environment(s.server, s.folder.kubeconfig()))
}

// attend keeps the identity fresh until the command has ended, by itself or with its Pod, and returns its exit code.
func (s *session) attend(ctx context.Context) (int, error) {
	stopLease := background(ctx, func(ctx context.Context) { s.lease.keep(ctx, s.report) })
	stopVolume := background(ctx, func(ctx context.Context) { s.volume.keep(ctx, s.report) })
	stopEnding := background(ctx, s.endWithPod)
	stopTelling := background(ctx, func(ctx context.Context) { s.pod.tellRunning(ctx, s.now()) })
	stopStops := s.followStops(ctx)
	err := s.command.Wait()
	stopStops()
	stopTelling()
	stopEnding()
	stopLease()
	stopVolume()
	return exitCode(s.command.ProcessState, err)
}

// exitCode is the command's own, or what shells make of the signal that ended it. The error of a Wait that
// learnt how the command ended is about that, or about its streams; it changes nothing.
func exitCode(state *os.ProcessState, err error) (int, error) {
	if state == nil {
		return 0, fmt.Errorf("waiting for the command: %w", err)
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return endedBy(status.Signal()).exitCode(), nil
	}
	return state.ExitCode(), nil
}

// end takes everything back, the Pod first: with it the token is void.
func (s *session) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if s.pod != nil {
		s.report(s.pod.end(ctx))
	}
	if s.lease != nil {
		s.report(s.lease.end(ctx))
	}
	if s.folder != nil {
		s.report(s.folder.remove())
	}
}

// report passes on trouble from several goroutines, one at a time.
func (s *session) report(err error) {
	s.reporting.Lock()
	defer s.reporting.Unlock()
	if err != nil && s.Report != nil {
		s.Report(err)
	}
}

func (s *session) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
