// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// answer is what a server says, without what depends on chance.
type answer struct {
	Code int `json:"code"`
	// Allowed and Denied are those of an access review.
	Allowed bool `json:"allowed,omitempty"`
	Denied  bool `json:"denied,omitempty"`
	// Reason is that of an access review, or of a failure.
	Reason string `json:"reason,omitempty"`
	// Message is that of a failure, or what could not be evaluated.
	Message string `json:"message,omitempty"`
	// Content is the rules of a rules review, each one line and sorted, or what
	// would have been stored.
	Content []string `json:"content,omitempty"`
}

func read(s sort, status int, body []byte) (answer, error) {
	a := answer{Code: status}
	if status >= http.StatusBadRequest {
		var failure metav1.Status
		err := json.Unmarshal(body, &failure)
		a.Reason, a.Message = string(failure.Reason), ordered(failure.Message)
		return a, err
	}
	switch s {
	case access:
		var review authorizationv1.SubjectAccessReview
		err := json.Unmarshal(body, &review)
		a.Allowed, a.Denied = review.Status.Allowed, review.Status.Denied
		a.Reason, a.Message = ordered(review.Status.Reason), ordered(review.Status.EvaluationError)
		return a, err
	case rules:
		var review authorizationv1.SelfSubjectRulesReview
		err := json.Unmarshal(body, &review)
		a.Message = ordered(review.Status.EvaluationError)
		a.Content = append(lines(review.Status.ResourceRules), lines(review.Status.NonResourceRules)...)
		a.Content = append(a.Content, fmt.Sprint("incomplete: ", review.Status.Incomplete))
		slices.Sort(a.Content)
		return a, err
	default:
		var stored map[string]any
		err := json.Unmarshal(body, &stored)
		delete(stored, "metadata") // times and versions
		a.Content = lines([]map[string]any{stored})
		return a, err
	}
}

// lines are things in JSON, which a map writes in the order of its keys.
func lines[T any](things []T) (all []string) {
	for _, thing := range things {
		line, err := json.Marshal(thing)
		if err != nil {
			panic(err) // they come from JSON
		}
		all = append(all, string(line))
	}
	return all
}

var (
	listed  = regexp.MustCompile(`\[[^\[\]]*not found[^\[\]]*\]`)
	missing = regexp.MustCompile(`[a-z.0-9]+ "[^"]*" not found`)
)

// ordered sorts the missing roles that a text lists: Kubernetes goes through
// bindings in an order that is another each time.
func ordered(text string) string {
	return listed.ReplaceAllStringFunc(text, func(list string) string {
		names := missing.FindAllString(list, -1)
		slices.Sort(names)
		i := -1
		return missing.ReplaceAllStringFunc(list, func(string) string {
			i++
			return names[i]
		})
	})
}

func (a answer) equal(b answer) bool {
	content := slices.Equal(a.Content, b.Content)
	a.Content, b.Content = nil, nil
	return content && fmt.Sprint(a) == fmt.Sprint(b)
}
