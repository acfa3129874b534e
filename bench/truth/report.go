// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// report is what a run has found.
type report struct {
	Seed     uint64 `json:"seed"`
	Policies int    `json:"policies"`
	// Access are access reviews, Allowed those of them that are allowed, and
	// Unresolved those that name a missing role.
	Access     int `json:"accessReviews"`
	Allowed    int `json:"allowed"`
	Unresolved int `json:"unresolved"`
	// Rules are rules reviews.
	Rules int `json:"rulesReviews"`
	// Writes are those of roles and bindings, and Refused those that are
	// forbidden.
	Writes      int          `json:"writes"`
	Refused     int          `json:"refusedWrites"`
	Differences []difference `json:"differences"`
}

// difference is a question with two answers.
type difference struct {
	Question   question `json:"question"`
	Kubernetes answer   `json:"kubernetes"`
	Muster     answer   `json:"muster"`
	// Policy is the smallest that was found to show it.
	Policy  []object `json:"policy"`
	differs bool
}

// count counts a question by Kubernetes' answer.
func (r *report) count(q question, a answer) {
	switch q.Sort {
	case access:
		r.Access++
		if a.Allowed {
			r.Allowed++
		} else if a.Reason != "" {
			r.Unresolved++
		}
	case rules:
		r.Rules++
	case writes:
		r.Writes++
		if a.Code == http.StatusForbidden {
			r.Refused++
		}
	}
}

// write prints the report for people.
func (r *report) write(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%d questions about %d policies from seed %d: %d access reviews (%d allowed, %d with missing roles), %d rules reviews, %d writes (%d forbidden): %d differences\n",
		r.Access+r.Rules+r.Writes, r.Policies, r.Seed, r.Access, r.Allowed, r.Unresolved, r.Rules, r.Writes, r.Refused, len(r.Differences))
	for i, d := range r.Differences {
		if err != nil {
			return err
		}
		var shown []byte
		if shown, err = json.MarshalIndent(d, "", "  "); err == nil {
			_, err = fmt.Fprintf(w, "\ndifference %d:\n%s\n", i+1, shown)
		}
	}
	return err
}
