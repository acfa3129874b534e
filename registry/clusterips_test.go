// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"math/big"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

func TestClusterIPRangesHoldTheirUsableAddresses(t *testing.T) {
	t.Parallel()
	for cidr, want := range map[string]struct {
		size, band  int
		first, last string
		family      corev1.IPFamily
	}{
		"10.0.0.0/24":      {254, 16, "10.0.0.1", "10.0.0.254", corev1.IPv4Protocol},
		"10.0.0.7/28":      {14, 1, "10.0.0.1", "10.0.0.14", corev1.IPv4Protocol},
		"10.0.0.0/30":      {2, 1, "10.0.0.1", "10.0.0.2", corev1.IPv4Protocol},
		"10.96.0.0/12":     {1<<20 - 2, 256, "10.96.0.1", "10.111.255.254", corev1.IPv4Protocol},
		"fd00:1::/112":     {1<<16 - 1, 256, "fd00:1::1", "fd00:1::ffff", corev1.IPv6Protocol},
		"fd00:1::/64":      {1<<16 - 1, 256, "fd00:1::1", "fd00:1::ffff", corev1.IPv6Protocol},
		"fd00:1::fff0/124": {15, 1, "fd00:1::fff1", "fd00:1::ffff", corev1.IPv6Protocol},
	} {
		ips, err := newClusterIPs(netip.MustParsePrefix(cidr))
		if err != nil {
			t.Errorf("%s: %v", cidr, err)
			continue
		}
		if ips.size != want.size || ips.band != want.band || ips.family() != want.family {
			t.Errorf("%s: size %d, band %d, family %s; want %+v", cidr, ips.size, ips.band, ips.family(), want)
		}
		for _, item := range []int{0, ips.size / 2, ips.size - 1} {
			back, err := ips.item(ips.address(item))
			if err != nil || back != item {
				t.Errorf("%s: item %d is %s, which is item %d (%v)", cidr, item, ips.address(item), back, err)
			}
		}
		if first, last := ips.address(0), ips.address(ips.size-1); first != want.first || last != want.last {
			t.Errorf("%s: from %s to %s, want %s to %s", cidr, first, last, want.first, want.last)
		}
		if _, err := ips.item(ips.prefix.Addr().String()); err == nil {
			t.Errorf("%s: the network's own address is in the range", cidr)
		}
		if _, err := ips.item(ips.address(ips.size)); err == nil {
			t.Errorf("%s: the address after the last is in the range", cidr)
		}
	}
	for _, cidr := range []string{"10.0.0.0/31", "10.0.0.0/8", "fd00::/127"} {
		if _, err := newClusterIPs(netip.MustParsePrefix(cidr)); err == nil {
			t.Errorf("%s makes a range", cidr)
		}
	}
	if _, err := newClusterIPs(netip.Prefix{}); err == nil {
		t.Error("no prefix makes a range")
	}
}

func TestRangesGiveTheirBandLastAndTheFloorNever(t *testing.T) {
	t.Parallel()
	ips, err := newClusterIPs(netip.MustParsePrefix("10.0.0.0/26"))
	if err != nil {
		t.Fatal(err)
	}
	bits := new(big.Int)
	for i := range ips.size - 1 {
		item, err := ips.claimNext(bits)
		if err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
		if item == 0 {
			t.Fatal("the API server's address was handed out")
		}
		if inBand := item < ips.band; inBand != (i >= ips.size-ips.band) {
			t.Fatalf("item %d came as number %d", item, i)
		}
	}
	if _, err := ips.claimNext(bits); !errors.Is(err, errFull) {
		t.Errorf("a full range answers %v", err)
	}
}

func TestNodePortsAreTheirOffsetInTheRange(t *testing.T) {
	t.Parallel()
	ports := newNodePorts(utilnet.PortRange{Base: 30000, Size: 2768})
	if ports.text != "30000-32767" || ports.band != 86 {
		t.Errorf("range %q with a band of %d", ports.text, ports.band)
	}
	for port, want := range map[int32]int{30000: 0, 32767: 2767} {
		if item, err := ports.item(port); err != nil || item != want {
			t.Errorf("port %d is item %d (%v), want %d", port, item, err, want)
		}
	}
	_, err := ports.item(80)
	if want := "provided port is not in the valid range. The range of valid ports is 30000-32767"; err == nil || err.Error() != want {
		t.Errorf("port 80 answers %v, want %q", err, want)
	}
}
