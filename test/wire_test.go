// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wire is another address of a server, through which its answers arrive late.
type wire struct {
	// address is a URL.
	address string
	// delay is how late, in nanoseconds.
	delay atomic.Int64
}

// newWire leads to a server at a URL, without delay at first.
func newWire(t *testing.T, server string) *wire {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: target.Scheme + "://" + listener.Addr().String()}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { w.relay(t, near, target.Host) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		connections.Wait() // their clients, started later, have ended before
	})
	return w
}

// relay carries a connection until either end closes it.
func (w *wire) relay(t *testing.T, near net.Conn, host string) {
	defer near.Close()
	far, err := net.Dial("tcp", host)
	if err != nil {
		t.Errorf("the wire leads nowhere: %v", err)
		return
	}
	var there sync.WaitGroup
	there.Go(func() {
		_, _ = io.Copy(far, near)
		far.Close()
	})
	w.lag(near, far)
	near.Close()
	there.Wait()
}

// parcel is what arrives at a time.
type parcel struct {
	data []byte
	due  time.Time
}

// lag copies each piece of data a while after it came, however many are under way.
func (w *wire) lag(to io.Writer, from io.Reader) {
	under := make(chan parcel, 4096)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(under)
		buffer := make([]byte, 32*1024)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				under <- parcel{append([]byte(nil), buffer[:n]...), time.Now().Add(time.Duration(w.delay.Load()))}
			}
			if err != nil {
				return
			}
		}
	})
	for p := range under {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			continue // the reader ends when the other end is closed
		}
	}
	reading.Wait()
}
