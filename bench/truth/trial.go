// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// patience is how often Kubernetes is asked again for the reason that Muster
// has. Where several bindings allow the same, Kubernetes names any of them.
const patience = 200

// trial compares the two.
type trial struct {
	both   pair
	report report
	log    io.Writer
}

func (t *trial) run(ctx context.Context, o options) error {
	for n := range o.policies {
		if err := t.policy(ctx, newChance(o.seed, n), o.questions); err != nil {
			return fmt.Errorf("seed %d, policy %d: %w", o.seed, n, err)
		}
		t.report.Policies++
		fmt.Fprintf(t.log, "\r%d of %d policies, %d differences ", n+1, o.policies, len(t.report.Differences))
	}
	fmt.Fprintln(t.log)
	return nil
}

// policy asks about one policy.
func (t *trial) policy(ctx context.Context, c chance, questions int) error {
	policy := c.policy()
	if err := t.apply(ctx, policy); err != nil {
		return err
	}
	var differences []difference
	for range questions {
		q := c.question(policy)
		d, err := t.ask(ctx, q)
		if err != nil {
			return err
		}
		t.report.count(q, d.Kubernetes)
		if d.differs {
			differences = append(differences, d)
		}
	}
	for _, d := range differences {
		smallest, err := t.shrink(ctx, policy, d.Question)
		if err != nil {
			return err
		}
		d.Policy = smallest
		t.report.Differences = append(t.report.Differences, d)
	}
	return nil
}

func (t *trial) apply(ctx context.Context, policy []object) error {
	return t.both.each(ctx, func(ctx context.Context, s *side) error { return s.apply(ctx, policy) })
}

// ask puts a question to both.
func (t *trial) ask(ctx context.Context, q question) (difference, error) {
	d := difference{Question: q}
	err := t.both.each(ctx, func(ctx context.Context, s *side) (err error) {
		if s == t.both.kubernetes {
			d.Kubernetes, err = s.ask(ctx, q)
		} else {
			d.Muster, err = s.ask(ctx, q)
		}
		return err
	})
	for range patience {
		if d.differs = !d.Kubernetes.equal(d.Muster); err != nil || !d.differs || !d.Kubernetes.Allowed || !d.Muster.Allowed {
			break
		}
		d.Kubernetes, err = t.both.kubernetes.ask(ctx, q)
	}
	return d, err
}

// shrink leaves out of a policy what is not needed for a difference.
func (t *trial) shrink(ctx context.Context, policy []object, q question) ([]object, error) {
	for i := len(policy) - 1; i >= 0; i-- {
		less := slices.Delete(slices.Clone(policy), i, i+1)
		if err := t.apply(ctx, less); err != nil {
			return nil, err
		}
		d, err := t.ask(ctx, q)
		if err != nil {
			return nil, err
		}
		if d.differs {
			policy = less
		}
	}
	return policy, nil
}
