// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	etcdtransport "go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

const (
	// etcdStartTimeout bounds the start of the embedded etcd, which replays its
	// log, and the first answer of an external one.
	etcdStartTimeout = 30 * time.Second
	etcdDialTimeout  = 5 * time.Second
	// etcdKeepAlive is how often a silent connection is tried, so that the view
	// learns of a lost one; Kubernetes' own clients of etcd take these times.
	etcdKeepAlive        = 30 * time.Second
	etcdKeepAliveTimeout = 10 * time.Second
	// maxSocketPath is what fits into sockaddr_un with room to spare.
	maxSocketPath = 100
)

// embeddedEtcd is the store in this process. It listens on a unix socket in a
// 0700 folder and on nothing else.
type embeddedEtcd struct {
	etcd     *embed.Etcd
	endpoint string
	cleanup  func()
}

// startEtcd opens the store below dir. With unsafeNoSync it does not wait for
// the disk: for stores that end with the process.
func startEtcd(dir string, unsafeNoSync bool) (*embeddedEtcd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making folder %q: %w", dir, reason(err))
	}
	socket, cleanup, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	config := embedConfig(dir, socket)
	config.UnsafeNoFsync = unsafeNoSync
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		cleanup()
		return nil, fmt.Errorf("starting the embedded etcd in %q: %w", dir, err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
	case err = <-etcd.Err():
	case <-time.After(etcdStartTimeout):
		err = errors.New("it did not become ready in time")
	}
	if err != nil {
		etcd.Close()
		cleanup()
		return nil, fmt.Errorf("starting the embedded etcd in %q: %w", dir, err)
	}
	return &embeddedEtcd{etcd: etcd, endpoint: "unix://" + socket, cleanup: cleanup}, nil
}

func embedConfig(dir, socket string) *embed.Config {
	config := embed.NewConfig()
	config.Name = "muster"
	config.Dir = dir
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	config.ListenClientUrls = []url.URL{{Scheme: "unix", Path: socket}}
	config.AdvertiseClientUrls = config.ListenClientUrls
	// One member has no peers: it listens for none. The advertised address is
	// a name in the membership, never dialled.
	config.ListenPeerUrls = nil
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	// A lone member elects itself; waiting a second for others is wasted.
	config.TickMs, config.ElectionMs = 10, 50
	// The API server compacts the history (--etcd-compaction-interval).
	config.AutoCompactionRetention = "0"
	return config
}

// socketPath is where the store listens: in dir, or, where that path would not
// do for a socket or for its URL, in a 0700 folder of its own that cleanup
// removes.
func socketPath(dir string) (path string, cleanup func(), err error) {
	path = filepath.Join(dir, "etcd.sock")
	if isSocketPath(path) {
		return path, func() { os.Remove(path) }, nil
	}
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		short, err := os.MkdirTemp(parent, "muster-")
		if err != nil {
			return "", nil, fmt.Errorf("making a folder for the embedded etcd's socket: %w", err)
		}
		path = filepath.Join(short, "etcd.sock")
		cleanup = func() { os.RemoveAll(short) }
		if isSocketPath(path) {
			return path, cleanup, nil
		}
		cleanup()
	}
	return "", nil, fmt.Errorf("no folder for the embedded etcd's socket: the paths of %q, $TMPDIR and /tmp are too long", dir)
}

// isSocketPath tells whether a path fits into a socket's address and stands for
// itself in a URL: a "#" in it, say, would be taken for the end.
func isSocketPath(path string) bool {
	return filepath.IsAbs(path) && len(path) <= maxSocketPath && (&url.URL{Path: path}).EscapedPath() == path
}

// Close stops the store after its last write is on disk.
func (e *embeddedEtcd) Close() {
	e.etcd.Close()
	e.cleanup()
}

// checkEtcd asks the external store for a sign of life, so that an address that
// does not answer is reported at once and by name.
func checkEtcd(ctx context.Context, transport storagebackend.TransportConfig) error {
	tlsConfig, err := etcdTLS(transport)
	if err != nil {
		return err
	}
	for _, server := range transport.ServerList {
		if err := knock(ctx, server, tlsConfig); err != nil {
			return fmt.Errorf("etcd at %s does not answer: %w", server, err)
		}
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: transport.ServerList, TLS: tlsConfig, DialTimeout: etcdDialTimeout,
		Logger: zap.NewNop(), Context: ctx,
	})
	if err != nil {
		return fmt.Errorf("etcd at %v: %w", transport.ServerList, err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, etcdDialTimeout)
	defer cancel()
	if _, err := client.Get(ctx, "/registry/"); err != nil {
		return fmt.Errorf("etcd at %v does not answer: %w", transport.ServerList, err)
	}
	return nil
}

// knock connects to a server of the store, so that an error says what is wrong:
// the client of etcd goes on trying, and tells only that it had no time left.
func knock(ctx context.Context, server string, config *tls.Config) error {
	dialer := net.Dialer{Timeout: etcdDialTimeout}
	network, address := networkOf(server)
	dial := dialer.DialContext
	if strings.HasPrefix(server, "https:") {
		dial = (&tls.Dialer{NetDialer: &dialer, Config: config}).DialContext
	}
	connection, err := dial(ctx, network, address)
	if err != nil {
		return rootCause(err)
	}
	return connection.Close()
}

// networkOf is how to reach a server of etcd by its URL: "tcp" or "unix" and an
// address, or nothing if it is no such URL.
func networkOf(server string) (network, address string) {
	parsed, err := url.Parse(server)
	switch {
	case err != nil:
		return "", ""
	case (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Host != "":
		return "tcp", parsed.Host
	case parsed.Scheme == "unix" && parsed.Host+parsed.Path != "":
		return "unix", parsed.Host + parsed.Path
	}
	return "", ""
}

func etcdTLS(transport storagebackend.TransportConfig) (*tls.Config, error) {
	if transport.CertFile == "" && transport.TrustedCAFile == "" {
		return nil, nil
	}
	info := etcdtransport.TLSInfo{CertFile: transport.CertFile, KeyFile: transport.KeyFile, TrustedCAFile: transport.TrustedCAFile}
	config, err := info.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("--etcd-cafile, --etcd-certfile, --etcd-keyfile: %w", err)
	}
	return config, nil
}
