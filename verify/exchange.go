// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxAnswer bounds what a server may make us read, in bytes.
	maxAnswer = 1 << 20
	// defaultTimeout bounds an exchange whose client brings no timeout, and whose
	// context may bring none.
	defaultTimeout = 10 * time.Second
)

// withoutRedirects is a client that stays where it is sent: an answer that leads
// elsewhere is not the answer of the server we trust.
func withoutRedirects(client *http.Client) *http.Client {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if own.Timeout <= 0 {
		own.Timeout = defaultTimeout
	}
	return &own
}

// answer is what a server has said.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

func exchange(client *http.Client, request *http.Request) (*answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return &answer{response.StatusCode, response.Header, body}, nil
}

// age is for how long an answer may be kept.
// RFC 9111, sections 4.2, 5.1 and 5.2.2.
func (a *answer) age() time.Duration {
	age := defaultAge
	for directive := range strings.SplitSeq(strings.Join(a.header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minAge
		case "max-age":
			if seconds, ok := parseSeconds(strings.Trim(value, `"`)); ok {
				age = seconds
			}
		}
	}
	if passed, ok := parseSeconds(a.header.Get("Age")); ok {
		age -= passed
	}
	return min(max(age, minAge), maxAge)
}

// parseSeconds reads a number of seconds; one too large is as good as a day.
func parseSeconds(text string) (time.Duration, bool) {
	seconds, err := strconv.ParseUint(text, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return time.Duration(min(seconds, uint64(maxAge/time.Second))) * time.Second, true
}
