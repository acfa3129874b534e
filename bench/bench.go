// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/muster-identity/muster/bench/system"
)

// restTime is how long a system that is ready is left alone before its memory
// is read and it is asked anything: what a start leaves to do is done by then.
const restTime = 8 * time.Second

// bench runs what the options select.
type bench struct {
	options options
	// dir is the folder for everything that is written.
	dir    string
	report report
}

// run measures everything. Rows that are complete are in the report even when
// a later one fails.
func (b *bench) run(ctx context.Context) error {
	b.report.Machine = thisMachine()
	var err error
	if b.report.Crypto, err = cryptoCosts(); err != nil {
		return err
	}
	for _, course := range courses() {
		course.scenarios = b.options.choose(course.scenarios)
		if len(course.scenarios) == 0 {
			continue
		}
		if err := b.runCourse(ctx, course); err != nil {
			return fmt.Errorf("%s: %w", course.setup.name, err)
		}
	}
	return nil
}

// runCourse starts the systems of a setup and runs its scenarios. All systems
// are there while it lasts, and are asked in turn, so that what else happens
// on the machine hits all of them alike.
func (b *bench) runCourse(ctx context.Context, c course) error {
	dir, err := os.MkdirTemp(b.dir, "")
	if err != nil {
		return err
	}
	var key *ecdsa.PrivateKey
	var keyFile string
	if c.setup.sameKey {
		keyFile = filepath.Join(dir, "sa.key")
		if key, err = system.WriteES256Key(keyFile); err != nil {
			return err
		}
	}
	var worlds []*world
	for _, peer := range b.options.peers() {
		b.options.say("starting %s with %s", peer.name, c.setup.name)
		s, err := b.startAtRest(ctx, peer, dir, keyFile, c.setup.name)
		if err != nil {
			return err
		}
		defer s.Stop()
		w, err := b.prepare(ctx, s, c.setup, key)
		if err != nil {
			return err
		}
		worlds = append(worlds, w)
	}
	for _, scenario := range c.scenarios {
		if err := b.runScenario(ctx, scenario, worlds); err != nil {
			return fmt.Errorf("%s: %w", scenario.name, err)
		}
	}
	return nil
}

// prepare makes the world of a system.
func (b *bench) prepare(ctx context.Context, s *system.System, setup setup, key *ecdsa.PrivateKey) (*world, error) {
	w, err := populate(ctx, s)
	if err != nil {
		return nil, err
	}
	if key != nil {
		if w.minter, err = newMinter(key, w.knownTokens[0]); err != nil {
			return nil, err
		}
	}
	if setup.prepare == nil {
		return w, nil
	}
	return w, setup.prepare(ctx, w)
}

// startAtRest starts a system and reports how it is before anybody asks it.
func (b *bench) startAtRest(ctx context.Context, peer peer, dir, keyFile, setup string) (*system.System, error) {
	own := filepath.Join(dir, peer.name)
	if err := os.Mkdir(own, 0o700); err != nil {
		return nil, err
	}
	s, err := peer.start(ctx, b.options.binaries, own, keyFile)
	if err != nil {
		return nil, err
	}
	rest, err := leaveAlone(ctx, s, b.options.restTime())
	if err != nil {
		s.Stop()
		return nil, err
	}
	rest.System, rest.Setup = peer.name, setup
	b.report.Rest = append(b.report.Rest, rest)
	return s, nil
}

func leaveAlone(ctx context.Context, s *system.System, wait time.Duration) (atRest, error) {
	before, err := s.Usage()
	if err != nil {
		return atRest{}, err
	}
	select {
	case <-ctx.Done():
		return atRest{}, context.Cause(ctx)
	case <-time.After(wait):
	}
	after, err := s.Usage()
	if err != nil {
		return atRest{}, err
	}
	server, store, err := s.Memory()
	if err != nil {
		return atRest{}, err
	}
	used := after.Sub(before)
	return atRest{
		StartupSeconds: s.Startup.Seconds(),
		MemoryMiB:      float64(server) / (1 << 20), StoreMemoryMiB: float64(store) / (1 << 20),
		ProcessorPercent: 100 * (used.Server + used.Others).Seconds() / wait.Seconds(),
	}, nil
}
