// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Command reporter asks the vault for its secret, with the token of its service account. It is the caller of docs/verify.md.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	tokenFile := flag.String("token-file", "/var/run/secrets/kubernetes.io/serviceaccount/token", "file with a token for the vault")
	flag.Parse()
	answer, err := ask(flag.Arg(0), *tokenFile)
	if err != nil {
		fmt.Fprintln(os.Stderr, "reporter:", err)
		os.Exit(1)
	}
	fmt.Print(answer)
}

// ask reads the token for each request: it is replaced while it is still good.
func ask(url, tokenFile string) (string, error) {
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	client := http.Client{Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("turned away: %s (%s)", response.Status, response.Header.Get("WWW-Authenticate"))
	}
	return string(answer), nil
}
