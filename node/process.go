// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

const (
	prepareTimeout = 30 * time.Second // for all that comes before the command
	endTimeout     = 10 * time.Second // for taking everything back; also between SIGTERM and SIGKILL
)

// Process is a command with the identity of a service account. A Process is run once.
type Process struct {
	// Client acts for the one who runs the command; Config says where its server is, and what of it a kubeconfig can
	// say is what another process goes by while this one is stopped. Both are needed.
	Client Client
	Config *rest.Config

	// Namespace and ServiceAccount are the identity. Both are needed.
	Namespace, ServiceAccount string
	// Audiences of the token; none means those of the API server.
	Audiences []string
	// PodName is the name of the Pod; "" takes one after the command.
	PodName string
	// NodeName is the node that the Pod is said to run on; "" is this machine's host name.
	NodeName string

	// Command is looked up in $PATH as a shell does, Args are its arguments without its own name.
	Command string
	Args    []string
	// Stdin, Stdout and Stderr are handed to the command; nil is the null device. Files are handed over as they are,
	// so that a terminal stays one.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Env is the command's environment, in which the addresses of the identity are replaced; nil is this process's.
	Env []string

	// Signals are passed to the command. Those that arrive before there is one end the run. Nil: none.
	Signals <-chan os.Signal
	// Report is told of trouble that does not end the run, once until it is over, and of the end of the Pod, which does.
	// Calls do not overlap. Nil: nobody.
	Report func(error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Dir is where the folder with token and kubeconfig is made; "" is memory if there is some, else the
	// temporary directory.
	Dir string

	// around, where set, runs each step in place of Run: tests break the step before or after it takes effect.
	around func(step step, run func() error) error
}

// step names a numbered step of Run.
type step string

// Run runs the command and returns its exit code, or 128+n if signal n ended it. An error means that the command
// was not run. In any case nothing is left behind: no Pod, no Lease, no folder, and the token is void.
//
//  1. folder: a 0700 folder is made and locked. Should this process be killed from here on, the next run
//     of the same user removes it.
//  2. pod: the Pod is created. From here on a killed run leaves a Pod without a Lease, which the server ends
//     once it is old enough to have had one.
//  3. lease: the Lease is created. From here on a killed run leaves a Lease that lapses, and the Pod with it.
//  4. volume: the token is requested and written beside the CA bundle and the namespace.
//  5. kubeconfig: the kubeconfig that points to them is written.
//  6. start: the command starts; Lease and volume are kept until it ends. It dies with the thread
//     that started it, so a killed run takes it along.
//
// Then, and after a step that failed, in this order: the keeping stops, the Pod is deleted, which voids the
// token, the Lease is deleted, the folder is removed. This is done when ctx has ended, too.
//
// When ctx ends the command gets SIGTERM, ten seconds later SIGKILL. When somebody deletes the Pod the command gets
// SIGTERM, and SIGKILL after the Pod's grace period; after two seconds if the Pod is gone already.
func (p *Process) Run(ctx context.Context) (code int, err error) {
	// The command is tied to the life of its parent thread, not of its parent process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	s, err := p.newSession()
	if err != nil {
		return 0, err
	}
	defer s.end(context.WithoutCancel(ctx))

	prepare, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	relay := &relay{abort: abort}
	defer background(ctx, func(ctx context.Context) { relay.run(ctx, p.Signals) })()

	if err = s.prepare(prepare); err == nil {
		err = s.do("start", func() error { return relay.attach(prepare, func() (*os.Process, error) { return s.start(ctx) }) })
	}
	if err == nil {
		return s.attend(ctx)
	}
	if signal, ok := context.Cause(prepare).(endedBy); ok {
		return signal.exitCode(), nil
	}
	return 0, err
}

// background runs work in a goroutine and returns the function that ends it and waits for its end.
func background(ctx context.Context, work func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { work(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}
