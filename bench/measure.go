// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/bench/load"
	"github.com/muster-identity/muster/bench/system"
)

// contender is a system that is asked in turn with others.
type contender struct {
	system *system.System
	client *load.Client
	// admin is the administrator's client; nil: there are no users.
	admin kubernetes.Interface
	// requests are n that come next.
	requests func(n int) ([]load.Request, error)
	// stop ends the system; nil: it stays for others.
	stop   func()
	result load.Result
	used   system.Usage
}

// runScenario fills one row for each wire.
func (b *bench) runScenario(ctx context.Context, s scenario, worlds []*world) error {
	for _, wire := range b.options.wires(s.jsonOnly) {
		b.options.say("%s over %s", s.name, wire.Name)
		row, err := b.measure(ctx, s, wire, worlds)
		if err != nil {
			return fmt.Errorf("over %s: %w", wire.Name, err)
		}
		b.report.Rows = append(b.report.Rows, row)
	}
	return nil
}

// measure asks all worlds, and the floor if Muster is among them.
func (b *bench) measure(ctx context.Context, s scenario, wire load.Wire, worlds []*world) (row, error) {
	contenders, err := b.contend(ctx, s, wire, worlds)
	defer func() {
		for _, c := range contenders {
			c.end()
		}
	}()
	if err != nil {
		return row{}, err
	}
	for range b.options.rounds {
		for _, c := range contenders {
			if err := c.round(ctx, s, s.inRound(b.options.requests)); err != nil {
				return row{}, fmt.Errorf("%s: %w", c.system.Name, err)
			}
		}
	}
	if b.options.profiles != "" {
		err = b.profile(ctx, contenders, s, wire)
	}
	return b.report.row(s, wire, contenders), err
}

// contend makes those who are asked, after a look at what they answer. They
// are to be ended, also when there is an error.
func (b *bench) contend(ctx context.Context, s scenario, wire load.Wire, worlds []*world) ([]*contender, error) {
	var contenders []*contender
	for _, w := range worlds {
		c, err := newContender(w.system, wire, func(n int) ([]load.Request, error) { return w.requests(s, wire, n) })
		if err != nil {
			return contenders, err
		}
		c.admin = w.client
		contenders = append(contenders, c)
		answer, err := c.probe(ctx, s)
		if err != nil {
			return contenders, fmt.Errorf("%s: %w", w.system.Name, err)
		}
		if w.system.Name != muster {
			continue
		}
		f, err := b.newFloor(ctx, c, wire, answer)
		if err != nil {
			return contenders, err
		}
		contenders = append(contenders, f)
	}
	return contenders, nil
}

// newFloor is a contender that is asked what another is, and gives an answer
// of that one.
func (b *bench) newFloor(ctx context.Context, like *contender, wire load.Wire, answer load.Answer) (*contender, error) {
	dir, err := os.MkdirTemp(b.dir, "floor")
	if err != nil {
		return nil, err
	}
	started, err := system.StartFloor(ctx, dir, answer)
	if err != nil {
		return nil, err
	}
	f, err := newContender(started, wire, like.requests)
	if err != nil {
		started.Stop()
		return nil, err
	}
	f.stop = started.Stop
	return f, nil
}

func newContender(s *system.System, wire load.Wire, requests func(int) ([]load.Request, error)) (*contender, error) {
	trust, err := rest.TLSConfigFor(rest.AnonymousClientConfig(s.Admin))
	if err != nil {
		return nil, fmt.Errorf("trusting %s: %w", s.Name, err)
	}
	return &contender{system: s, client: load.NewClient(s.URL, trust, wire), requests: requests}, nil
}

// end gives up what is the contender's own.
func (c *contender) end() {
	c.client.Close()
	if c.stop != nil {
		c.stop()
	}
}

// probe asks once and looks at the answer in full.
func (c *contender) probe(ctx context.Context, s scenario) (load.Answer, error) {
	requests, err := c.requests(1)
	if err != nil {
		return load.Answer{}, err
	}
	answer, err := c.client.Do(ctx, requests[0])
	if err != nil {
		return load.Answer{}, err
	}
	if answer.Status != s.status {
		return load.Answer{}, fmt.Errorf("status %d, want %d: %s", answer.Status, s.status, answer.Body)
	}
	if err := s.check(answer.Body); err != nil {
		return load.Answer{}, fmt.Errorf("the answer is not right: %w", err)
	}
	return answer, nil
}

// round warms the contender up, asks it n times, and counts that in.
func (c *contender) round(ctx context.Context, s scenario, n int) error {
	warm, err := c.requests(s.warm)
	if err != nil {
		return err
	}
	if _, err := c.client.Run(ctx, warm, s.status); err != nil {
		return err
	}
	requests, err := c.requests(n)
	if err != nil {
		return err
	}
	before, err := c.system.Usage()
	if err != nil {
		return err
	}
	result, err := c.client.Run(ctx, requests, s.status)
	if err != nil {
		return err
	}
	after, err := c.system.Usage()
	if err != nil {
		return err
	}
	used := after.Sub(before)
	c.result.Add(result)
	c.used.Server += used.Server
	c.used.Others += used.Others
	return nil
}

// requests are the next n of a scenario, ready for a wire.
func (w *world) requests(s scenario, wire load.Wire, n int) ([]load.Request, error) {
	requests := make([]load.Request, n)
	first := int(w.turn.Add(int64(n))) - n
	err := concurrently(context.Background(), n, func(_ context.Context, i int) error {
		asked, err := s.request(w, first+i)
		if err != nil {
			return err
		}
		requests[i] = load.Request{Method: asked.method, Path: asked.path, Accept: asked.accept, Token: w.callerToken}
		if asked.body == nil {
			return nil
		}
		requests[i].Body, err = encode(asked.body, asked.version, wire.MediaType)
		return err
	})
	return requests, err
}
