// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
)

// connections is how many HTTP/2 connections the requests in flight share. In
// HTTP/1.1 each has a connection of its own.
const connections = 4

// Wire is how requests and answers travel.
type Wire struct {
	// Name is that of -wire: "h2/json".
	Name string
	// HTTP2 is the protocol, HTTP/1.1 where it is false.
	HTTP2 bool
	// MediaType is that of bodies, both ways.
	MediaType string
}

// Request is what is asked.
type Request struct {
	Method, Path string
	// Accept is the media type that is wanted; empty: the wire's.
	Accept string
	// Token is the bearer token; empty: there is none.
	Token string
	// Body is in the wire's media type; nil: there is none.
	Body []byte
}

// Answer is what comes back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Client talks to one server over one wire. Requests may overlap.
type Client struct {
	base    string
	wire    Wire
	clients []*http.Client
}

// NewClient is for the server at a base URL, "https://127.0.0.1:6443".
// Close gives its connections up.
func NewClient(base string, trust *tls.Config, wire Wire) *Client {
	c := &Client{base: base, wire: wire}
	n := InFlight
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!wire.HTTP2)
	protocols.SetHTTP2(wire.HTTP2)
	if wire.HTTP2 {
		n = connections
	}
	for range n {
		c.clients = append(c.clients, &http.Client{Transport: &http.Transport{
			TLSClientConfig:    trust.Clone(),
			Protocols:          protocols,
			DisableCompression: true,
		}})
	}
	return c
}

// Close ends the client's connections.
func (c *Client) Close() {
	for _, client := range c.clients {
		client.CloseIdleConnections()
	}
}

// Do asks one thing.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) { return c.do(ctx, 0, r) }

func (c *Client) do(ctx context.Context, worker int, r Request) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, c.base+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Accept", cmp.Or(r.Accept, c.wire.MediaType))
	request.Header.Set("User-Agent", "bench")
	if r.Body != nil {
		request.Header.Set("Content-Type", c.wire.MediaType)
	}
	if r.Token != "" {
		request.Header.Set("Authorization", "Bearer "+r.Token)
	}
	response, err := c.clients[worker%len(c.clients)].Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	if http2 := response.ProtoMajor == 2; http2 != c.wire.HTTP2 {
		return Answer{}, fmt.Errorf("%s %s was answered in %s", r.Method, r.Path, response.Proto)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("reading the answer to %s %s: %w", r.Method, r.Path, err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}
