// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net"
	"os"
	"strconv"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	netutils "k8s.io/utils/net"
)

// addresses are where a server is found.
type addresses struct {
	// advertised is told to others (--advertise-address).
	advertised net.IP
	// local is how this machine reaches the server: host:port.
	local string
	port  int
	// service is the address of the service default/kubernetes.
	service net.IP
}

func (o *Options) addressesOf(listener net.Listener) (addresses, error) {
	bound, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return addresses{}, fmt.Errorf("the listener has no TCP address: %s", listener.Addr())
	}
	services, err := o.serviceRange()
	if err != nil {
		return addresses{}, err
	}
	service, err := netutils.GetIndexedIP(services, 1)
	if err != nil {
		return addresses{}, fmt.Errorf("--service-cluster-ip-range %q: %w", o.ServiceClusterIPRange, err)
	}
	host := bound.IP
	if host.IsUnspecified() {
		host = net.IPv4(127, 0, 0, 1)
	}
	return addresses{
		advertised: o.advertisedAddress(host),
		local:      net.JoinHostPort(host.String(), strconv.Itoa(bound.Port)),
		port:       bound.Port,
		service:    service,
	}, nil
}

// advertisedAddress is the one given, else the one that the machine's default
// route would use, else the local one: a machine may be on no network at all.
func (o *Options) advertisedAddress(local net.IP) net.IP {
	if given := o.Run.AdvertiseAddress; given != nil && !given.IsUnspecified() {
		return given
	}
	if address, err := utilnet.ResolveBindAddress(o.SecureServing.BindAddress); err == nil {
		return address
	}
	return local
}

// certificateSubjects are the names and addresses that the server's own serving
// certificate is good for.
func (o *Options) certificateSubjects(a addresses) (names []string, ips []net.IP) {
	names, ips = splitSANs(o.TLSSANs)
	names = append(names, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	if hostname, err := os.Hostname(); err == nil {
		names = append(names, hostname)
	}
	return names, append(ips, net.IPv4(127, 0, 0, 1), net.IPv6loopback, a.advertised, a.service)
}

// prepareCredentials makes or renews the certificates in the data dir.
func (s *Server) prepareCredentials(dir *dataDir, listener net.Listener) error {
	where, err := s.Options.addressesOf(listener)
	if err != nil {
		return err
	}
	names, ips := s.Options.certificateSubjects(where)
	given := s.Options.SecureServing.ServerCert.CertKey
	s.addresses = where
	s.url = httpsURL(where.local)
	s.credentials = &credentials{
		dir: dir, names: names, ips: ips, address: s.url, now: s.Now,
		given: pairFiles{cert: given.CertFile, key: given.KeyFile},
	}
	return s.credentials.ensure()
}
